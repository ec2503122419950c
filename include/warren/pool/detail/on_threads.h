// OnThreads: the verbs over a ThreadCrew, whose workers are threads.
#pragma once
#include <warren/pool/detail/thread_map.h>
#include <warren/pool/detail/thread_task.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace warren::detail {

struct OnThreads {
  using Client = ThreadCrew;
  static constexpr const char* kMovedFrom = "this ThreadPool was moved from: it may only be assigned to or destroyed";

  template <class F>
  static constexpr bool kAsked = true;  // nothing has to travel
  template <class F, class... A>
  using Task = CheckedThreadTask<F, A...>;
  template <class F, class... Rg>
  using Map = CheckedThreadMap<F, Rg...>;
  template <class F, class Rg>
  using Star = CheckedThreadStar<F, Rg>;
  template <class R>
  using Background = ThreadMapTask<R>;

  template <class F, class... A>
  static std::shared_ptr<TaskCore> submit(ThreadCrew& crew, bool wait, const TaskOptions& options, F&& f, A&&... a) {
    if (!crew.take_place(wait)) return nullptr;
    return enqueue_task<ThreadTaskOf<F, A...>>(crew, false, options, std::forward<F>(f), std::forward<A>(a)...);
  }

  template <class F, class Items>
  static consteval bool check_for_each() {
    return check_thread_for_each<F, Items>();
  }
  template <class F, class Items>
  static absl::Status for_each(ThreadCrew& crew, const MapOptions& options, const F& f, Items& items) {
    if constexpr (kIsArray<std::remove_cv_t<Items>>) {
      auto elements = items.span();
      return run_thread_for_each<F>(crew, options, f, elements);
    } else {
      return run_thread_for_each<F>(crew, options, f, items);
    }
  }
};

}  // namespace warren::detail
