// OnProcesses: the verbs over a PoolClient, whose workers are processes.
#pragma once
#include <warren/pool/detail/for_each.h>
#include <warren/pool/detail/map_task.h>
#include <warren/pool/detail/pool_client.h>

#include <memory>
#include <optional>
#include <type_traits>

namespace warren::detail {

template <class F, class... A>
std::optional<FunctionId> single_task() {
  return registered<SingleTask<std::decay_t<F>, typename Carried<A>::type...>>().id();
}

struct OnProcesses {
  using Client = PoolClient;
  static constexpr const char* kMovedFrom = "this Pool was moved from: it may only be assigned to or destroyed";

  template <class F>
  static constexpr bool kAsked = Asked<F>;
  template <class F, class... A>
  using Task = CheckedTask<F, A...>;
  template <class F, class... Rg>
  using Map = CheckedMap<F, Rg...>;
  template <class F, class Rg>
  using Star = CheckedStar<F, Rg>;
  template <class R>
  using Background = MapTask<R>;

  template <class F, class... A>
  static std::shared_ptr<TaskCore> submit(PoolClient& client, bool wait, const TaskOptions& options, const F& f,
                                          A&&... a) {
    const auto encode = [&](Writer& w) {
      encode_callable<std::decay_t<F>>(w, f);
      (put_argument(w, a), ...);
    };
    const PoolClient::Submission task{.function = single_task<F, A...>(), .options = options, .encode = encode};
    return wait ? client.submit(task) : client.try_submit(task);
  }

  template <class F, class Items>
  static consteval bool check_for_each() {
    return detail::check_for_each<std::decay_t<F>, std::remove_reference_t<Items>>();
  }
  template <class F, class Items>
  static absl::Status for_each(PoolClient& client, const MapOptions& options, const F& f, Items& items) {
    return run_for_each<F>(client, options, f, items);
  }
};

}  // namespace warren::detail
