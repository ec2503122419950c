// Ranges read together, item by item, as the arguments of one call each.
#pragma once
#include <warren/pool/detail/task_types.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <ranges>
#include <tuple>
#include <utility>
#include <vector>

namespace warren::detail {

template <class Rg>
using ItemOf = typename Carried<std::ranges::range_value_t<Rg>>::type;

// What `Checked` (CheckedTask, or its counterpart of threads) says of a call with an item of each range.
template <class F, class... Rg>
consteval bool check_ranges() {
  static_assert(kIsOptions<F> || (std::ranges::input_range<Rg> && ...),
                "map and imap take the function, then a range for each of its parameters, and this is none. Remedy: a "
                "container, a view, or one list {1, 2, 3}; for a single call submit(f, x)");
  return false;
}
template <template <class, class...> class Checked, class F, class... Rg>
struct CheckedRanges {
  static constexpr bool ok = check_ranges<F, Rg...>();
  using value = std::conditional_t<ok, NoResult, NoResult>;
};
template <template <class, class...> class Checked, class F, class... Rg>
  requires(std::ranges::input_range<Rg> && ...)
struct CheckedRanges<Checked, F, Rg...> : Checked<F, std::ranges::range_value_t<Rg>...> {};
template <class F, class... Rg>
using CheckedMap = CheckedRanges<CheckedTask, F, Rg...>;

// Holds rvalue ranges, refers to lvalues; ends with the shortest.
template <class... Rg>
class Zip {
 public:
  using Item = std::tuple<ItemOf<Rg>...>;

  explicit Zip(Rg&&... ranges) : views_(std::views::all(std::forward<Rg>(ranges))...) {}
  Zip(const Zip&) = delete;
  Zip& operator=(const Zip&) = delete;

  // How many items there are, where all ranges can tell.
  [[nodiscard]] std::optional<std::size_t> size() {
    if constexpr ((std::ranges::sized_range<std::views::all_t<Rg>> && ...)) {
      return std::apply([](auto&... view) { return std::min({static_cast<std::size_t>(std::ranges::size(view))...}); },
                        views_);
    } else {
      return std::nullopt;
    }
  }

  // Up to `most` further items. Reads none beyond them: the next line of a terminal may be long in coming.
  [[nodiscard]] std::vector<Item> take(std::size_t most) {
    std::vector<Item> items;
    while (items.size() < most && !ended_) {
      if (cursors_) {
        advance(kIndices);
      } else {
        cursors_.emplace(std::apply([](auto&... view) { return Cursors(std::ranges::begin(view)...); }, views_));
      }
      ended_ = ended(kIndices);
      if (!ended_) items.push_back(item(kIndices));
    }
    return items;
  }

 private:
  using Cursors = std::tuple<std::ranges::iterator_t<std::views::all_t<Rg>>...>;
  static constexpr auto kIndices = std::index_sequence_for<Rg...>{};

  template <std::size_t... I>
  bool ended(std::index_sequence<I...>) {
    return ((std::get<I>(*cursors_) == std::ranges::end(std::get<I>(views_))) || ...);
  }
  template <std::size_t... I>
  void advance(std::index_sequence<I...>) {
    (static_cast<void>(++std::get<I>(*cursors_)), ...);
  }
  template <std::size_t... I>
  Item item(std::index_sequence<I...>) {
    return Item(static_cast<ItemOf<Rg>>(*std::get<I>(*cursors_))...);
  }

  std::tuple<std::views::all_t<Rg>...> views_;
  std::optional<Cursors> cursors_;  // at the last item that was taken
  bool ended_ = false;
};

// A range of tuples, pairs or arrays, each the arguments of one call.
template <class Tuple, class = std::make_index_sequence<std::tuple_size_v<Tuple>>>
struct Unpacked;
template <class Tuple, std::size_t... I>
struct Unpacked<Tuple, std::index_sequence<I...>> {
  using Item = std::tuple<typename Carried<std::tuple_element_t<I, Tuple>>::type...>;
  template <class Element>
  static Item item(Element&& element) {
    return Item(static_cast<std::tuple_element_t<I, Item>>(std::get<I>(std::forward<Element>(element)))...);
  }
};

// What `Checked` says of a call with the elements of an item.
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };
template <template <class, class...> class Checked, class F, class Tuple,
          class = std::make_index_sequence<std::tuple_size_v<Tuple>>>
struct CheckedApply;
template <template <class, class...> class Checked, class F, class Tuple, std::size_t... I>
struct CheckedApply<Checked, F, Tuple, std::index_sequence<I...>> : Checked<F, std::tuple_element_t<I, Tuple>...> {};
template <class Rg>
consteval bool check_tuples() {
  static_assert(
      std::ranges::input_range<Rg> && TupleLike<std::ranges::range_value_t<Rg>>,
      "starmap takes one range of tuples, pairs or arrays, each the arguments of one call. Remedy: map, which "
      "takes a range for each parameter");
  return false;
}
template <template <class, class...> class Checked, class F, class Rg>
struct CheckedTuples {
  static constexpr bool ok = check_tuples<Rg>();
  using value = std::conditional_t<ok, NoResult, NoResult>;
};
template <template <class, class...> class Checked, class F, class Rg>
  requires(std::ranges::input_range<Rg> && TupleLike<std::ranges::range_value_t<Rg>>)
struct CheckedTuples<Checked, F, Rg> : CheckedApply<Checked, F, std::ranges::range_value_t<Rg>> {};
template <class F, class Rg>
using CheckedStar = CheckedTuples<CheckedTask, F, Rg>;

template <class Rg>
class Star {
 public:
  using Unpack = Unpacked<std::ranges::range_value_t<Rg>>;
  using Item = typename Unpack::Item;

  explicit Star(Rg&& range) : zip_(std::forward<Rg>(range)) {}
  [[nodiscard]] std::optional<std::size_t> size() { return zip_.size(); }
  [[nodiscard]] std::vector<Item> take(std::size_t most) {
    std::vector<Item> items;
    for (auto& element : zip_.take(most)) items.push_back(Unpack::item(std::move(std::get<0>(element))));
    return items;
  }

 private:
  Zip<Rg> zip_;
};

}  // namespace warren::detail
