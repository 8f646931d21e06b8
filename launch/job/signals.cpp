#include "launch/job/signals.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace diffprob::launch {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGUSR1, SIGINT, SIGHUP, SIGPIPE};
constexpr std::int32_t kTimeOver = 1 << 20;  // above any signal number

const auto kProcessStart = std::chrono::steady_clock::now();
volatile std::sig_atomic_t first_signal = 0;
std::array<struct sigaction, kSignals.size()> earlier;

extern "C" void on_signal(int number) {
  // A terminal that closes sends SIGHUP more than once.
  if (first_signal != 0 && number == SIGHUP) return;
  if (first_signal != 0) {
    constexpr char kMessage[] = "second signal: exiting immediately, without a checkpoint\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
    ::_exit(128 + number);
  }
  first_signal = number;
}

}  // namespace

SignalGuard::SignalGuard() {
  first_signal = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  struct sigaction ignore = action;
  ignore.sa_handler = SIG_IGN;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    // A reader of the log that went away does not end a training: metrics.jsonl goes on.
    ::sigaction(kSignals[i], kSignals[i] == SIGPIPE ? &ignore : &action, &earlier[i]);
    const bool by_nohup = kSignals[i] == SIGHUP && earlier[i].sa_handler == SIG_IGN;
    if (by_nohup) ::sigaction(SIGHUP, &earlier[i], nullptr);
  }
}

SignalGuard::~SignalGuard() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &earlier[i], nullptr);
}

int SignalGuard::received() noexcept {
  return first_signal;
}

StopAgreement::StopAgreement(double max_seconds, dist::HostCollectives& control)
    : control_(control), max_seconds_(max_seconds) {}

std::int32_t StopAgreement::wish() const {
  const int number = SignalGuard::received();
  if (number != 0 || max_seconds_ <= 0 || control_.rank() != 0) return number;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - kProcessStart;
  return passed.count() >= max_seconds_ ? kTimeOver : 0;
}

bool StopAgreement::agreed() {
  const auto strongest = control_.max_of_last_call(wish());
  if (strongest == 0) return false;
  reason_ =
      strongest == kTimeOver ? "train.max_time" : std::string("SIG") + ::sigabbrev_np(strongest);
  return true;
}

}  // namespace diffprob::launch
