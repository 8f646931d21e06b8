#include "tests/launch/faults/fault.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace diffprob::faults {
namespace {

constexpr std::chrono::milliseconds kSlow{150};

const std::map<std::string, int, std::less<>> kSignals = {{"kill", SIGKILL}, {"term", SIGTERM},
                                                          {"usr1", SIGUSR1}, {"stop", SIGSTOP},
                                                          {"segv", SIGSEGV}, {"abort", SIGABRT}};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string pid_file(int rank) {
  return variable("DIFFPROB_FAULT_FOLDER") + "/pid." + std::to_string(rank);
}

Fault parse() {
  std::vector<std::string> fields;
  std::istringstream text(variable("DIFFPROB_FAULT"));
  for (std::string field; std::getline(text, field, ':');) fields.push_back(field);
  if (fields.empty()) return {};
  if (fields.size() < 3)
    throw std::runtime_error("DIFFPROB_FAULT: expected POINT:KIND:RANK[:COUNT[:PATH]]");
  fields.resize(5);
  return {fields[0], fields[1], std::stoi(fields[2]), fields[3].empty() ? 1 : std::stoi(fields[3]),
          fields[4]};
}

/// Whether this passage of the point is the one.
bool is_due(std::string_view point) {
  static std::atomic<int> passages{0};
  if (point != fault().point) return false;
  const int passage = ++passages;
  return fault().kind == "slow" ? passage >= fault().count : passage == fault().count;
}

void suffer() {
  note_fired();
  const std::string& kind = fault().kind;
  if (kind == "slow") return std::this_thread::sleep_for(kSlow);
  if (kind == "throw") throw std::runtime_error("thrown on purpose at " + fault().point);
  if (kind == "exit0") ::_exit(0);
  if (kind == "abort") std::abort();
  if (kind == "segv") {
    volatile std::uintptr_t nowhere = 8;  // volatile: the compiler must not see where it leads
    *reinterpret_cast<volatile int*>(nowhere) = 0;
  }
  if (kind == "usr1twice") ::kill(::getpid(), SIGUSR1);
  ::kill(::getpid(), kind == "usr1twice" ? SIGUSR1 : kSignals.at(kind));
}

/// For the other rank, before main(). Not where fault() is made: writing asks for it.
const bool pid_is_noted = [] {
  if (!variable("DIFFPROB_FAULT").empty())
    std::ofstream(pid_file(own_rank())) << ::getpid() << std::flush;
  return true;
}();

void send_to(int rank) {
  pid_t other = 0;
  for (int tries = 0; other == 0 && tries < 1000; ++tries) {
    std::ifstream(pid_file(rank)) >> other;
    if (other == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (other == 0)
    throw std::runtime_error("the process id of rank " + std::to_string(rank) + " is not known");
  note_fired();
  ::kill(other, kSignals.at(fault().kind));
}

}  // namespace

const Fault& fault() {
  static const Fault parsed = parse();
  return parsed;
}

int own_rank() {
  const std::string rank = variable("OMPI_COMM_WORLD_RANK");
  return rank.empty() ? 0 : std::stoi(rank);
}

void fault_point(std::string_view point) {
  if (own_rank() == fault().rank && is_due(point)) suffer();
}

void fault_point_of_root(std::string_view point) {
  if (fault().rank < 0 || !is_due(point)) return;
  if (own_rank() == fault().rank)
    suffer();
  else
    send_to(fault().rank);
}

void note_fired() {
  const int file = ::open((variable("DIFFPROB_FAULT_FOLDER") + "/fired").c_str(),
                          O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file >= 0) ::close(file);
}

}  // namespace diffprob::faults
