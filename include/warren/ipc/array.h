// Array<T>: a fixed number of T in shared memory.
//
// Elements are plain memory: who reads or writes them while others do holds mutex(), or is the only one at these
// indices, or uses load(i), store(i), fetch_add(i) and the like, which are atomic for T of 1, 2, 4 or 8 bytes. If a
// process dies holding the mutex, the next one who locks it is told, and repairs what it finds half done:
//
//     std::scoped_lock guard(array.mutex());
//     if (array.mutex().owner_died()) { repair(array); array.mutex().consistent(); }
//
// The size never changes. For more elements make a larger array under another name and copy, or ask for the largest
// size from the start and keep in a Value how many are in use. All memory is taken when it is made: full is an error
// then. Layout and memory orders: docs/algorithms/value.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/array_geometry.h>
#include <warren/ipc/detail/atomic_cell.h>
#include <warren/ipc/mutex.h>

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <vector>

namespace warren {

// Thread-safe and process-safe as said above. T is plain bytes. Handles pass to other processes by fork, by name and as
// values (handle.h). Pointers, spans and iterators live as long as some handle to the array in this process.
template <class T>
class Array : public Handle {
  static_assert(std::same_as<T, std::remove_cvref_t<T>> && !std::is_array_v<T>,
                "Array<T> holds plain Ts: no const, no reference, no C array. Remedy: Array<int>, or std::array as T");
  static_assert(detail::check_plain<T>());
  static_assert(alignof(T) <= layout::kPage, "Array<T> aligns its elements to a page at most");

 public:
  using value_type = T;

  // Zeros, or what is given. A size of 0 is allowed. Errors are Segment's; InvalidArgument also for a size that cannot
  // be.
  static absl::StatusOr<Array> create(std::size_t size, const ObjectOptions& options = {}) {
    return detail::Factory::create<Array>(Spec{.size = size, .lifetime = options.lifetime});
  }
  static absl::StatusOr<Array> create(std::initializer_list<T> values, const ObjectOptions& options = {}) {
    return create_of(std::nullopt, values, options);
  }
  template <std::ranges::input_range R>
    requires(!std::convertible_to<R, std::string_view>)
  static absl::StatusOr<Array> create(R&& values, const ObjectOptions& options = {}) {
    return create_of(std::nullopt, std::forward<R>(values), options);
  }
  static absl::StatusOr<Array> create(std::string_view name, std::size_t size, const ObjectOptions& options = {}) {
    return detail::Factory::create<Array>(name, Spec{.size = size, .lifetime = options.lifetime});
  }
  static absl::StatusOr<Array> create(std::string_view name, std::initializer_list<T> values,
                                      const ObjectOptions& options = {}) {
    return create_of(name, values, options);
  }
  template <std::ranges::input_range R>
    requires(!std::convertible_to<R, std::string_view>)
  static absl::StatusOr<Array> create(std::string_view name, R&& values, const ObjectOptions& options = {}) {
    return create_of(name, std::forward<R>(values), options);
  }
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  static absl::StatusOr<Array> create(const Text&, const ObjectOptions& = {}) {
    static_assert(sizeof(Text) == 0,
                  "a text alone is neither a size nor elements. Remedy: create(name, size), or for "
                  "its characters create(std::span(text))");
    return absl::InvalidArgumentError("");
  }
  static absl::StatusOr<Array> open(std::string_view name) { return detail::Factory::open<Array>(name); }
  // FailedPrecondition if the array that is there has another size.
  static absl::StatusOr<Array> open_or_create(std::string_view name, std::size_t size,
                                              const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }  // exact: it never changes

  // Plain memory. An index past the end stops the program with a message that has both numbers; of span(), data() and
  // the iterators nothing is checked.
  T& operator[](std::size_t i) noexcept { return *at(i); }
  const T& operator[](std::size_t i) const noexcept { return *at(i); }
  std::span<T> span() noexcept { return {elements_, size_}; }
  std::span<const T> span() const noexcept { return {elements_, size_}; }
  T* data() noexcept { return elements_; }
  const T* data() const noexcept { return elements_; }
  T* begin() noexcept { return elements_; }
  T* end() noexcept { return elements_ + size_; }
  const T* begin() const noexcept { return elements_; }
  const T* end() const noexcept { return elements_ + size_; }

  // Atomic and sequentially consistent, for T of 1, 2, 4 or 8 bytes, and indices checked likewise. As in Value.
  [[nodiscard]] T load(std::size_t i) const noexcept { return cell(i).load(); }
  void store(std::size_t i, const T& desired) noexcept { cell(i).store(desired); }
  T exchange(std::size_t i, const T& desired) noexcept { return cell(i).exchange(desired); }
  bool compare_exchange(std::size_t i, T& expected, const T& desired) noexcept {
    return cell(i).compare_exchange(expected, desired);
  }
  // Numbers. Integers wrap around. All return what was there.
  T fetch_add(std::size_t i, T d) noexcept { return number(i).fetch_add(d); }
  T fetch_sub(std::size_t i, T d) noexcept { return number(i).fetch_sub(d); }
  // Integers.
  T fetch_and(std::size_t i, T d) noexcept { return integer(i).fetch_and(d); }
  T fetch_or(std::size_t i, T d) noexcept { return integer(i).fetch_or(d); }
  T fetch_xor(std::size_t i, T d) noexcept { return integer(i).fetch_xor(d); }

  Mutex& mutex() noexcept { return mutex_; }

 private:
  friend class detail::Factory;
  static constexpr detail::ArrayGeometry kGeometry = detail::ArrayGeometry::of<T>();
  static constexpr bool kAtomic = sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8;

  struct Spec {
    std::size_t size;
    Lifetime lifetime;
    std::function<void(T*)> fill = {};  // none: zeros
  };
  Array(detail::Attachment::Pointer attachment, layout::ArrayHeader& header, std::size_t size) noexcept
      : Handle(attachment),
        elements_(reinterpret_cast<T*>(attachment->object() + kGeometry.elements_offset)),
        size_(size),
        mutex_(detail::EmbeddedMutex::at(std::move(attachment), header.mutex)) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Spec& spec);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kArray, .element = detail::element_type<T>()};
  }
  static absl::StatusOr<Array> attach(detail::Attachment::Pointer attachment);
  template <class R>
  static absl::StatusOr<Array> create_of(std::optional<std::string_view> name, R&& values,
                                         const ObjectOptions& options);

  T* at(std::size_t i) const noexcept {
    if (i >= size_) [[unlikely]]
      detail::stop_out_of_bounds(i, size_);
    return elements_ + i;
  }
  auto cell(std::size_t i) const noexcept {
    static_assert(
        kAtomic,
        "an element of this size is not atomic. Remedy: hold mutex() and use operator[]; or a T of 1, 2, 4 or "
        "8 bytes; or one Value<T>, which is never torn");
    return detail::AtomicCell<T>(at(i));
  }
  auto number(std::size_t i) const noexcept {
    static_assert(detail::Number<T>, "fetch_add and fetch_sub are for numbers. Remedy: compare_exchange, or mutex()");
    return cell(i);
  }
  auto integer(std::size_t i) const noexcept {
    static_assert(detail::Integer<T>, "fetch_and, _or, _xor are for integers. Remedy: compare_exchange, or mutex()");
    return cell(i);
  }

  T* elements_;
  std::size_t size_;
  Mutex mutex_;
};

template <class T>
absl::StatusOr<detail::SegmentPlan> Array<T>::plan(const Spec& spec) {
  const absl::StatusOr<std::size_t> bytes = kGeometry.bytes_for(spec.size);
  if (!bytes.ok()) return bytes.status();
  return detail::SegmentPlan{.kind = layout::ObjectKind::kArray,
                             .size = *bytes,
                             .element = detail::element_type<T>(),
                             .wait_words = {offsetof(layout::ArrayHeader, mutex) + offsetof(layout::Mutex, waiters)},
                             .initialise = [&spec](std::span<std::byte> object) {
                               auto& header = *reinterpret_cast<layout::ArrayHeader*>(object.data());
                               header.size = spec.size;
                               header.element_bytes = kGeometry.element_bytes;
                               header.elements_offset = kGeometry.elements_offset;
                               if (spec.fill)
                                 spec.fill(reinterpret_cast<T*>(object.data() + kGeometry.elements_offset));
                             }};
}

template <class T>
absl::StatusOr<Array<T>> Array<T>::attach(detail::Attachment::Pointer attachment) {
  auto& header = *reinterpret_cast<layout::ArrayHeader*>(attachment->object());
  const absl::StatusOr<std::size_t> size = kGeometry.check(header, attachment->size());
  if (!size.ok()) return size.status();
  return Array(std::move(attachment), header, *size);
}

template <class T>
absl::StatusOr<Array<T>> Array<T>::open_or_create(std::string_view name, std::size_t size,
                                                  const ObjectOptions& options) {
  absl::StatusOr<Array> array =
      detail::Factory::open_or_create<Array>(name, Spec{.size = size, .lifetime = options.lifetime});
  if (array.ok() && array->size() != size) return detail::another_size(name, array->size(), size);
  return array;
}

template <class T>
template <class R>
absl::StatusOr<Array<T>> Array<T>::create_of(std::optional<std::string_view> name, R&& values,
                                             const ObjectOptions& options) {
  using Given = std::ranges::range_reference_t<R>;
  static_assert(std::convertible_to<Given, T>, "the elements of this range cannot be converted to the array's");
  if constexpr (!std::convertible_to<Given, T>) {
    return absl::InvalidArgumentError("");
  } else if constexpr (!std::ranges::sized_range<R>) {
    std::vector<T> collected;
    for (auto&& value : values) collected.push_back(static_cast<T>(std::forward<decltype(value)>(value)));
    return create_of(name, collected, options);
  } else {
    const auto size = static_cast<std::size_t>(std::ranges::size(values));
    const auto fill = [&values, size](T* element) {
      auto from = std::ranges::begin(values);
      for (std::size_t i = 0; i < size; ++i, ++from) std::construct_at(element + i, static_cast<T>(*from));
    };
    const Spec spec{.size = size, .lifetime = options.lifetime, .fill = fill};
    return name ? detail::Factory::create<Array>(*name, spec) : detail::Factory::create<Array>(spec);
  }
}

}  // namespace warren
