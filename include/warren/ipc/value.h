// Value<T>: one T in shared memory, never torn.
//
// Up to 8 bytes it is an atomic, as std::atomic<T> is: no operation waits for anybody. A larger one lies there in two
// copies, of which one store publishes the other: load() sees a whole value that once was published, whatever T; who
// changes it waits for who is changing it. Whoever is killed, and when, the value is the old one or the new one.
//
//     auto account = warren::Value<Account>::create("account", {100, 0}).value();
//     account.update([](Account& x) { x.balance -= 7, ++x.transfers; });  // all or nothing, also under kill -9
//
// `v = w` lets the handle v reach w's object; `v.store(x)` changes the object. What spans several values or arrays
// wants mutex(), by all who change them. To wait for a change there are Event and Condition. Algorithm, ordering and
// crash tables: docs/algorithms/value.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/atomic_cell.h>
#include <warren/ipc/detail/two_copies.h>
#include <warren/ipc/detail/update_scope.h>
#include <warren/ipc/detail/words.h>
#include <warren/ipc/mutex.h>

#include <concepts>
#include <functional>
#include <mutex>
#include <span>
#include <string_view>

namespace warren {

// Thread-safe and process-safe, and sequentially consistent, as std::atomic is unless it is told otherwise. T is plain
// bytes; every operation copies it, a large one by the thread's stack. Handles pass to other processes by fork, by
// name and as values (handle.h).
template <class T>
class Value : public Handle {
  static_assert(
      std::same_as<T, std::remove_cvref_t<T>> && !std::is_array_v<T>,
      "Value<T> holds a plain T: no const, no reference, no C array. Remedy: Value<int>, std::array, Array<T>");
  static_assert(detail::check_plain<T>());

 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = sizeof(T) <= 8;

  // Errors are Segment's. A text in the first place is the name.
  static absl::StatusOr<Value> create(const T& initial = T{}, const ObjectOptions& options = {}) {
    return detail::Factory::create<Value>(Spec{initial, options.lifetime});
  }
  template <class Name>
    requires std::convertible_to<const Name&, std::string_view>  // no string_view: {0, 0} would be one, too
  static absl::StatusOr<Value> create(const Name& name, const T& initial = T{}, const ObjectOptions& options = {}) {
    return detail::Factory::create<Value>(name, Spec{initial, options.lifetime});
  }
  static absl::StatusOr<Value> open(std::string_view name) { return detail::Factory::open<Value>(name); }
  // Whoever comes first decides what the value is; `initial` and the options of the others are not looked at.
  static absl::StatusOr<Value> open_or_create(std::string_view name, const T& initial = T{},
                                              const ObjectOptions& options = {}) {
    return detail::Factory::open_or_create<Value>(name, Spec{initial, options.lifetime});
  }
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Waits for nobody who stands still: while others go on storing a T of more than 8 bytes faster than this thread
  // copies it, load() takes its turn among them.
  [[nodiscard]] T load() const noexcept;
  void store(const T& desired) noexcept;
  T exchange(const T& desired) noexcept;  // what was there
  // True: it was `expected`, byte by byte without padding, and is `desired`. False: `expected` is what was there. Fails
  // for no other reason.
  bool compare_exchange(T& expected, const T& desired) noexcept;

  // Reads, calls f(T&) with a copy, publishes that, and returns it: a kill in f leaves the old value, and so does what
  // f throws. Up to 8 bytes f is called again, with a fresh copy, where somebody else was faster; beyond, it is called
  // once while others who change this value wait. If f changes this same value otherwise, the program stops with a
  // message.
  template <class F>
  T update(F&& f);

  // Numbers. Integers wrap around. fetch_*: what was there; the operators: what is.
  T fetch_add(T d) noexcept;
  T fetch_sub(T d) noexcept;
  T operator+=(T d) noexcept { return detail::sum_of<T>(fetch_add(d), d); }
  T operator-=(T d) noexcept { return detail::difference_of<T>(fetch_sub(d), d); }
  // Integers.
  T operator++() noexcept { return *this += integer(1); }
  T operator--() noexcept { return *this -= integer(1); }
  T operator++(int) noexcept { return fetch_add(integer(1)); }
  T operator--(int) noexcept { return fetch_sub(integer(1)); }
  T fetch_and(T d) noexcept;
  T fetch_or(T d) noexcept;
  T fetch_xor(T d) noexcept;
  T operator&=(T d) noexcept
    requires detail::Integer<T>
  {
    return static_cast<T>(fetch_and(d) & d);
  }
  T operator|=(T d) noexcept
    requires detail::Integer<T>
  {
    return static_cast<T>(fetch_or(d) | d);
  }
  T operator^=(T d) noexcept
    requires detail::Integer<T>
  {
    return static_cast<T>(fetch_xor(d) ^ d);
  }

  // A lock for its users; no operation of the value takes it, so they all may be called under it.
  Mutex& mutex() noexcept { return mutex_; }

 private:
  friend class detail::Factory;
  static constexpr bool kAtomic = is_always_lock_free;
  using Copies = detail::TwoCopies<sizeof(T)>;
  using Header = layout::ValueHeader;
  static constexpr std::size_t kObjectBytes = kAtomic ? sizeof(Header) : Copies::kObjectBytes;
  static constexpr std::size_t kCopyBytes = kAtomic ? 0 : Copies::kCopyBytes;

  struct Spec {
    const T& initial;
    Lifetime lifetime;
  };
  Value(detail::Attachment::Pointer attachment, Header& header) noexcept
      : Handle(attachment),
        header_(&header),
        copies_(*attachment, header),
        mutex_(detail::EmbeddedMutex::at(std::move(attachment), header.mutex)) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Spec& spec);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kValue, .element = detail::element_type<T>()};
  }
  static absl::StatusOr<Value> attach(detail::Attachment::Pointer attachment);

  static constexpr T integer(int n) noexcept {
    static_assert(detail::Integer<T>, "++ and -- are for integers. Remedy: += 1, or update([](T& x) { ... })");
    return static_cast<T>(n);
  }
  auto cell() const noexcept { return detail::AtomicCell<T>(&header_->word); }
  auto changeable_cell() noexcept {
    detail::UpdateScope::check(header_);
    return cell();
  }
  // By the holder of the writers' lock.
  T read() const noexcept;
  // Publishes made_of(what is there), and returns what was there.
  template <class F>
  T replace(F&& made_of) noexcept;

  Header* header_;
  Copies copies_;
  Mutex mutex_;
};

template <class T>
absl::StatusOr<detail::SegmentPlan> Value<T>::plan(const Spec& spec) {
  return detail::SegmentPlan{.kind = layout::ObjectKind::kValue,
                             .size = kObjectBytes,
                             .element = detail::element_type<T>(),
                             .wait_words = {offsetof(Header, mutex) + offsetof(layout::Mutex, waiters),
                                            offsetof(Header, writer) + offsetof(layout::Mutex, waiters)},
                             .initialise = [&initial = spec.initial](std::span<std::byte> object) {
                               auto& header = *reinterpret_cast<Header*>(object.data());
                               header.copy_bytes = kCopyBytes;
                               if constexpr (kAtomic) {
                                 detail::AtomicCell<T>(&header.word).store(initial);
                               } else {  // sequence 0: the first copy
                                 std::memcpy(object.data() + sizeof(Header), static_cast<const void*>(&initial),
                                             sizeof(T));
                               }
                             }};
}

template <class T>
absl::StatusOr<Value<T>> Value<T>::attach(detail::Attachment::Pointer attachment) {
  auto& header = *reinterpret_cast<Header*>(attachment->object());
  if (attachment->size() < kObjectBytes || detail::read_once(header.copy_bytes) != kCopyBytes)
    return absl::DataLossError("the header of the value is corrupt: its geometry");
  return Value(std::move(attachment), header);
}

template <class T>
T Value<T>::read() const noexcept {
  alignas(T) std::array<std::byte, sizeof(T)> bytes;
  copies_.read(bytes.data());
  return *std::launder(reinterpret_cast<const T*>(bytes.data()));
}

template <class T>
T Value<T>::load() const noexcept {
  if constexpr (kAtomic) {
    return cell().load();
  } else {
    alignas(T) std::array<std::byte, sizeof(T)> bytes;
    copies_.load(bytes.data());
    return *std::launder(reinterpret_cast<const T*>(bytes.data()));
  }
}

template <class T>
void Value<T>::store(const T& desired) noexcept {
  if constexpr (kAtomic) {
    changeable_cell().store(desired);
  } else {
    const detail::TwoCopiesBase::Writing writing(copies_);
    copies_.publish(&desired);
  }
}

template <class T>
T Value<T>::exchange(const T& desired) noexcept {
  if constexpr (kAtomic) {
    return changeable_cell().exchange(desired);
  } else {
    return replace([&desired](const T&) { return desired; });
  }
}

template <class T>
bool Value<T>::compare_exchange(T& expected, const T& desired) noexcept {
  static_assert(kAtomic,
                "compare_exchange is for a T of up to 8 bytes. Remedy: update([](T& x) { if (...) x = ...; })");
  return changeable_cell().compare_exchange(expected, desired);
}

template <class T>
template <class F>
T Value<T>::update(F&& f) {
  static_assert(std::invocable<F&, T&>, "update(f) calls f with a T&. Remedy: update([](T& x) { x = ...; })");
  if constexpr (std::invocable<F&, T&>) {
    if constexpr (std::invocable<F&, T>) {
      static_assert(std::is_void_v<std::invoke_result_t<F&, T>>,
                    "update(f) does not look at what f returns. Remedy: f changes its argument in place, "
                    "update([](T& x) { x = ...; })");
    }
    if constexpr (kAtomic) {
      const detail::UpdateScope scope(header_);
      return cell().modify([&f](T& copy) { std::invoke(f, copy); }).second;
    } else {
      const detail::TwoCopiesBase::Writing writing(copies_);
      T copy = read();
      std::invoke(f, copy);
      copies_.publish(&copy);
      return copy;
    }
  } else {
    return load();
  }
}

template <class T>
template <class F>
T Value<T>::replace(F&& made_of) noexcept {
  const detail::TwoCopiesBase::Writing writing(copies_);
  const T before = read();
  const T after = made_of(before);
  copies_.publish(&after);
  return before;
}

template <class T>
T Value<T>::fetch_add(T d) noexcept {
  static_assert(detail::Number<T>, "fetch_add, += and ++ are for numbers. Remedy: update([](T& x) { ... })");
  if constexpr (kAtomic || !detail::Number<T>) {
    return changeable_cell().fetch_add(d);
  } else {
    return replace([d](T x) { return detail::sum_of<T>(x, d); });
  }
}

template <class T>
T Value<T>::fetch_sub(T d) noexcept {
  static_assert(detail::Number<T>, "fetch_sub, -= and -- are for numbers. Remedy: update([](T& x) { ... })");
  if constexpr (kAtomic || !detail::Number<T>) {
    return changeable_cell().fetch_sub(d);
  } else {
    return replace([d](T x) { return detail::difference_of<T>(x, d); });
  }
}

template <class T>
T Value<T>::fetch_and(T d) noexcept {
  static_assert(detail::Integer<T> && kAtomic, "fetch_and is for integers. Remedy: update([](T& x) { ... })");
  return changeable_cell().fetch_and(d);
}

template <class T>
T Value<T>::fetch_or(T d) noexcept {
  static_assert(detail::Integer<T> && kAtomic, "fetch_or is for integers. Remedy: update([](T& x) { ... })");
  return changeable_cell().fetch_or(d);
}

template <class T>
T Value<T>::fetch_xor(T d) noexcept {
  static_assert(detail::Integer<T> && kAtomic, "fetch_xor is for integers. Remedy: update([](T& x) { ... })");
  return changeable_cell().fetch_xor(d);
}

}  // namespace warren
