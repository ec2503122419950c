// How strings, sequences, sets and maps of std travel. codec.h includes this.
#pragma once
#include <warren/ipc/codec.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace warren {

namespace detail {

absl::Status duplicate_key();

// Reads elements where they lie in a peer's bytes, aligned or not.
template <class T>
class PlainElements {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = T;

  explicit PlainElements(const std::byte* at) noexcept : at_(at) {}
  T operator*() const noexcept { return value_at<T>(at_); }
  PlainElements& operator++() noexcept {
    at_ += sizeof(T);
    return *this;
  }
  difference_type operator-(const PlainElements& from) const noexcept {
    return (at_ - from.at_) / static_cast<difference_type>(sizeof(T));
  }
  bool operator==(const PlainElements&) const noexcept = default;

 private:
  const std::byte* at_;
};

// The bytes are as many as elements make.
template <class T>
std::vector<T> plain_elements(std::span<const std::byte> bytes) {
  if constexpr (std::default_initializable<T>) {
    std::vector<T> elements(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(static_cast<void*>(elements.data()), bytes.data(), bytes.size());
    return elements;
  } else {
    return std::vector<T>(PlainElements<T>(bytes.data()), PlainElements<T>(bytes.data() + bytes.size()));
  }
}

// Elements one by one. What is reserved is no more than the bytes that are left.
template <class C>
struct SequenceCodec {
  using Element = typename C::value_type;
  using parts = TypeList<Element>;

  static void encode(Writer& w, const C& elements) {
    w.length(elements.size());
    for (const Element& e : elements) {
      if (!w.ok()) return;
      w.put(e);
    }
  }
  static absl::StatusOr<C> decode(Reader& r) {
    const auto n = r.length();
    if (!n.ok()) return n.status();
    C elements;
    if constexpr (requires { elements.reserve(*n); }) {
      elements.reserve(std::min(*n, r.remaining() / sizeof(Element) + 1));
    }
    for (std::size_t i = 0; i < *n; ++i) {
      auto e = r.get<Element>();
      if (!e.ok()) return e.status();
      elements.push_back(*std::move(e));
    }
    return elements;
  }
};

// Sets, maps. A key that comes twice is an error.
template <class C>
struct SetCodec {
  using Key = typename C::key_type;
  using parts = TypeList<Key>;

  static void encode(Writer& w, const C& set) {
    w.length(set.size());
    for (const Key& key : set) w.put(key);
  }
  static absl::StatusOr<C> decode(Reader& r) {
    const auto n = r.length();
    if (!n.ok()) return n.status();
    C set;
    for (std::size_t i = 0; i < *n; ++i) {
      auto key = r.get<Key>();
      if (!key.ok()) return key.status();
      if (const std::size_t before = set.size(); set.insert(set.end(), *std::move(key)), set.size() == before) {
        return duplicate_key();
      }
    }
    return set;
  }
};
template <class C>
struct MapCodec {
  using Key = typename C::key_type;
  using Mapped = typename C::mapped_type;
  using parts = TypeList<Key, Mapped>;

  static void encode(Writer& w, const C& map) {
    w.length(map.size());
    for (const auto& [key, mapped] : map) {
      w.put(key);
      w.put(mapped);
    }
  }
  static absl::StatusOr<C> decode(Reader& r) {
    const auto n = r.length();
    if (!n.ok()) return n.status();
    C map;
    for (std::size_t i = 0; i < *n; ++i) {
      auto key = r.get<Key>();
      if (!key.ok()) return key.status();
      auto mapped = r.get<Mapped>();
      if (!mapped.ok()) return mapped.status();
      const std::size_t before = map.size();
      map.emplace_hint(map.end(), *std::move(key), *std::move(mapped));
      if (map.size() == before) return duplicate_key();
    }
    return map;
  }
};

}  // namespace detail

template <class C>
  requires kCopyAsBytes<C>
struct Codec<std::basic_string<C>> {
  static void encode(Writer& w, const std::basic_string<C>& s) {
    w.length(s.size());
    w.bytes(std::as_bytes(std::span(s)));
  }
  static absl::StatusOr<std::basic_string<C>> decode(Reader& r) {
    const auto n = r.length(sizeof(C));
    if (!n.ok()) return n.status();
    const auto raw = r.bytes(*n * sizeof(C));
    if constexpr (sizeof(C) == 1) {
      return std::basic_string<C>(reinterpret_cast<const C*>(raw->data()), *n);
    } else {
      return std::basic_string<C>(detail::PlainElements<C>(raw->data()),
                                  detail::PlainElements<C>(raw->data() + raw->size()));
    }
  }
};

template <class T, std::size_t N>
  requires(!kCopyAsBytes<T>)
struct Codec<std::array<T, N>> {
  using parts = detail::TypeList<T>;
  static void encode(Writer& w, const std::array<T, N>& elements) {
    for (const T& e : elements) w.put(e);
  }
  static absl::StatusOr<std::array<T, N>> decode(Reader& r) { return decode(r, std::make_index_sequence<N>()); }

 private:
  template <std::size_t... I>
  static absl::StatusOr<std::array<T, N>> decode(Reader& r, std::index_sequence<I...>) {
    [[maybe_unused]] std::array<absl::StatusOr<T>, N> elements{((void)I, r.get<T>())...};
    if (!r.ok()) return r.status();
    return std::array<T, N>{*std::move(elements[I])...};
  }
};

template <class T>
struct Codec<std::vector<T>> : detail::SequenceCodec<std::vector<T>> {
  static void encode(Writer& w, const std::vector<T>& elements) {
    if constexpr (kCopyAsBytes<T>) {
      w.length(elements.size());
      w.bytes(std::as_bytes(std::span(elements)));
    } else {
      detail::SequenceCodec<std::vector<T>>::encode(w, elements);
    }
  }
  static absl::StatusOr<std::vector<T>> decode(Reader& r) {
    if constexpr (kCopyAsBytes<T>) {
      const auto n = r.length(sizeof(T));
      if (!n.ok()) return n.status();
      return detail::plain_elements<T>(*r.bytes(*n * sizeof(T)));
    } else {
      return detail::SequenceCodec<std::vector<T>>::decode(r);
    }
  }
};
template <>
struct Codec<std::vector<bool>> {
  static void encode(Writer& w, const std::vector<bool>& elements);
  static absl::StatusOr<std::vector<bool>> decode(Reader& r);
};
template <class T>
struct Codec<std::deque<T>> : detail::SequenceCodec<std::deque<T>> {};
template <class T>
struct Codec<std::list<T>> : detail::SequenceCodec<std::list<T>> {};

// Comparisons and hashes are made anew, so only those without state.
template <class K, class C>
  requires std::is_empty_v<C>
struct Codec<std::set<K, C>> : detail::SetCodec<std::set<K, C>> {};
template <class K, class H, class E>
  requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct Codec<std::unordered_set<K, H, E>> : detail::SetCodec<std::unordered_set<K, H, E>> {};
template <class K, class V, class C>
  requires std::is_empty_v<C>
struct Codec<std::map<K, V, C>> : detail::MapCodec<std::map<K, V, C>> {};
template <class K, class V, class H, class E>
  requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct Codec<std::unordered_map<K, V, H, E>> : detail::MapCodec<std::unordered_map<K, V, H, E>> {};

}  // namespace warren
