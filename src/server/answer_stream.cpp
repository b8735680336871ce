#include "server/answer_stream.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

#include "server/http_wire.h"
#include "server/sse.h"

namespace tern {
namespace asio = boost::asio;

namespace {

// A reader that is alive empties the kernel's buffer sooner, also on a busy machine.
constexpr std::chrono::milliseconds kSlowReader{500};

}  // namespace

AnswerStream::AnswerStream(ClientSocket& client, ConnectionHost& host, Generation generation, const Exchange& exchange,
                           RequestRecord& record)
    : client_(client),
      service_(*host.service),
      options_(host.options),
      generation_(std::move(generation)),
      exchange_(exchange),
      record_(record),
      open_(generation_.submissions.size()) {
  // Much that waits to be written may be this thread's own delay; a write that does not end is the reader's.
  const auto drop_slow_reader = [&client] {
    if (client.write_waits() > kSlowReader) client.close();
  };
  inbox_ = std::make_shared<EventInbox>(client.executor(), generation_.stream ? options_.stream_buffer_bytes : 0,
                                        drop_slow_reader);
  record_.stream = generation_.stream;
  record_.user = std::move(generation_.user);
  size_t choice = 0;
  for (Submission& submission : generation_.submissions) {
    submission.sink = [mailbox = host.mailbox, inbox = inbox_, choice](TextEvent&& event) {
      mailbox->post(inbox, choice, std::move(event));
    };
    ++choice;
  }
}

AnswerStream::~AnswerStream() {
  record_.on_answer_end();
  inbox_->detach();
  for (const Ticket ticket : tickets_) service_.cancel(ticket);
}

std::optional<ApiError> AnswerStream::submit() {
  try {
    const size_t choices = generation_.submissions.size();
    const int64_t max_tokens = choices > 0 ? generation_.submissions[0].params.max_tokens : 0;
    Admission admission = service_.submit(std::move(generation_.submissions));
    if (admission.refusal == Admission::Refusal::kQueueFull) return queue_full_error();
    if (admission.refusal == Admission::Refusal::kStopping) return stopping_error();
    tickets_ = std::move(admission.tickets);
    record_.on_submit(choices, max_tokens);
    return std::nullopt;
  } catch (...) {
    return api_error(std::current_exception(), exchange_.id);
  }
}

asio::awaitable<bool> AnswerStream::run() {
  using namespace asio::experimental::awaitable_operators;
  const std::optional<ApiError> refusal = submit();
  if (refusal) {
    HttpReply reply = refusal->reply();
    co_return co_await send_reply(std::move(reply));
  }
  const auto ended = co_await (send_all() || client_.watch());
  co_return ended.index() == 0 && std::get<0>(ended);
}

// Does not throw: what runs beside it must hear that it ended.
asio::awaitable<bool> AnswerStream::send_all() {
  bool more = false;
  try {
    more = co_await send_events();
  } catch (const std::exception&) {  // the client went away, or memory is short
  }
  co_return more;
}

asio::awaitable<bool> AnswerStream::send_events() {
  while (open_ > 0) {
    const bool any = co_await inbox_->wait(head_sent_ ? options_.ping_interval : options_.first_event_wait);
    std::string out;
    if (!any && generation_.stream) out = sse_comment("still here");
    std::optional<ApiError> failure = take_events(out);
    if (failure) co_return co_await send_failure(std::move(*failure));
    if (open_ == 0) {
      tickets_.clear();
      out += generation_.writer->finish();
    }
    if (generation_.stream) {
      const bool taken = co_await send_part(std::move(out), open_ == 0);
      if (!taken) co_return false;
    } else if (open_ == 0) {
      HttpReply reply{.body = std::move(out)};
      co_return co_await send_reply(std::move(reply));
    }
  }
  co_return true;
}

// Appends what the stream sends for the events that have come.
std::optional<ApiError> AnswerStream::take_events(std::string& out) {
  if (inbox_->was_cut()) return stopping_error();
  inbox_->take(events_);
  for (auto& [choice, event] : events_) {
    record_.on_event(choice, event);
    if (event.finish == FinishReason::kError || event.finish == FinishReason::kCancelled ||
        event.finish == FinishReason::kTimeout) {
      return api_error(event, exchange_.id);
    }
    if (event.finish != FinishReason::kNone) --open_;
    out += generation_.writer->on_event(choice, std::move(event));
  }
  return std::nullopt;
}

asio::awaitable<bool> AnswerStream::send_reply(HttpReply reply) {
  record_.status = reply.status;
  record_.error = reply.error;
  co_return co_await client_.send(reply, exchange_);
}

asio::awaitable<bool> AnswerStream::send_failure(ApiError error) {
  if (head_sent_) {
    record_.error = error.code();
    std::string last = sse_event(error.json()) + sse_done();
    co_return co_await send_part(std::move(last), true);
  }
  HttpReply reply = error.reply();
  co_return co_await send_reply(std::move(reply));
}

// Some of a stream, its head first. True when more may follow: of this one, or after the last part another request.
asio::awaitable<bool> AnswerStream::send_part(std::string data, bool last) {
  std::string bytes;
  if (!head_sent_) {
    head_sent_ = true;
    record_.status = 200;
    keeps_alive_ = exchange_.keep_alive && exchange_.chunks && !client_.draining();
    const HttpReply head{.content_type = "text/event-stream; charset=utf-8",
                         .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}};
    bytes = response_head(head, {.keep_alive = keeps_alive_,
                                 .chunked = exchange_.chunks,
                                 .length = {},
                                 .request_id = exchange_.id,
                                 .header_lines = exchange_.header_lines});
  } else if (data.empty() && !last) {
    co_return true;
  }
  bytes += exchange_.chunks ? http_chunk(data) : data;
  if (last && exchange_.chunks) bytes += kLastChunk;
  const bool sent = co_await client_.write(std::move(bytes));
  co_return sent && (!last || keeps_alive_);
}

}  // namespace tern
