#include <warren/ipc/segment.h>

#include <warren/ipc/detail/attachment.h>

namespace warren {
namespace {

detail::SegmentPlan raw(std::size_t size) {
  return {.kind = layout::ObjectKind::kRaw, .size = size, .element = {}, .wait_words = {}, .initialise = {}};
}
const detail::SegmentExpectation kRawExpected{.kind = layout::ObjectKind::kRaw, .element = {}};

}  // namespace

absl::StatusOr<Segment> Segment::create(std::size_t size, const SegmentOptions& options) {
  auto attachment = detail::Attachment::create({}, raw(size), options);
  if (!attachment.ok()) return attachment.status();
  return Segment(*std::move(attachment));
}

absl::StatusOr<Segment> Segment::create(std::string_view name, std::size_t size, const SegmentOptions& options) {
  if (name.empty()) return absl::InvalidArgumentError("an empty name: leave it out for an anonymous segment");
  auto attachment = detail::Attachment::create(name, raw(size), options);
  if (!attachment.ok()) return attachment.status();
  return Segment(*std::move(attachment));
}

absl::StatusOr<Segment> Segment::open(std::string_view name) {
  auto attachment = detail::Attachment::open(name, kRawExpected);
  if (!attachment.ok()) return attachment.status();
  return Segment(*std::move(attachment));
}

absl::StatusOr<Segment> Segment::open_or_create(std::string_view name, std::size_t size,
                                                const SegmentOptions& options) {
  auto attachment = detail::Attachment::open_or_create(name, raw(size), options);
  if (!attachment.ok()) return attachment.status();
  return Segment(*std::move(attachment));
}

absl::StatusOr<Segment> Segment::open_read_only(std::string_view name) {
  auto attachment = detail::Attachment::open(name, kRawExpected, /*read_only=*/true);
  if (!attachment.ok()) return attachment.status();
  return Segment(*std::move(attachment));
}

absl::Status Segment::unlink(std::string_view name) { return detail::Attachment::unlink(name); }

detail::SegmentExpectation Segment::expectation() noexcept { return kRawExpected; }

absl::StatusOr<Segment> Segment::attach(std::shared_ptr<detail::Attachment> attachment) noexcept {
  return Segment(std::move(attachment));
}

std::span<std::byte> Segment::bytes() noexcept {
  if (attachment_->read_only()) return {};
  return {attachment_->object(), attachment_->size()};
}

std::span<const std::byte> Segment::bytes() const noexcept { return {attachment_->object(), attachment_->size()}; }

std::size_t Segment::size() const noexcept { return attachment_->size(); }

absl::Status Segment::grow(std::size_t new_size) { return attachment_->grow(new_size); }

std::string_view Segment::name() const noexcept { return attachment_->name(); }

bool Segment::read_only() const noexcept { return attachment_->read_only(); }

}  // namespace warren
