// A rank of a running job is frozen (SIGSTOP): all others end in time, say which rank it was, and
// leave their last operations behind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Job {
  int exit_code = 0;
  std::string output;
  double seconds = 0;  // from the freeze to the end of mpirun
};

Job run(int ranks, const fs::path& folder, const std::string& arguments) {
  const std::string command =
      "timeout -s KILL 100 " DIFFPROB_MPIEXEC " -np " + std::to_string(ranks) +
      " --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 " DIFFPROB_PROGRAM " " +
      folder.string() + " " + arguments + " 2>&1";
  Job job;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed");
  std::array<char, 4096> buffer{};
  auto frozen = std::chrono::steady_clock::now();
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    if (std::string_view(buffer.data()).starts_with("stopping"))
      frozen = std::chrono::steady_clock::now();
    job.output += buffer.data();
  }
  const int status = pclose(pipe);
  job.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - frozen).count();
  job.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return job;
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Case {
  int ranks;
  std::string arguments;  // after the rank that freezes and the deadline
  std::string operation;
};

class FrozenRank : public ::testing::TestWithParam<Case> {};

TEST_P(FrozenRank, EndsTheJobAndIsNamed) {
  const auto& [ranks, arguments, operation] = GetParam();
  const fs::path folder =
      fs::temp_directory_path() / ("diffprob_frozen_" + std::to_string(getpid()));
  fs::create_directory(folder);

  const auto job = run(ranks, folder, "1 3000" + arguments);

  std::printf("%d ranks: all ended %.2f s after the freeze, exit code %d\n%s\n", ranks, job.seconds,
              job.exit_code, job.output.c_str());
  RecordProperty("seconds", std::to_string(job.seconds));
  EXPECT_EQ(job.exit_code, 3);
  EXPECT_GE(job.seconds, 2.9);
  EXPECT_LT(job.seconds, 20);
  EXPECT_NE(job.output.find(operation + " #"), std::string::npos);
  EXPECT_NE(job.output.find("(step 20, mpi/frozen_rank_program.cpp:"), std::string::npos);
  EXPECT_NE(job.output.find("the deadline is 3.000 s; nothing from rank 1"), std::string::npos);
  EXPECT_NE(job.output.find("rank 1 did not answer"), std::string::npos);
  EXPECT_EQ(job.output.find("rank 0 did not"), std::string::npos);
  EXPECT_EQ(job.output.find("rank 2 did not"), std::string::npos);
  for (int r = 0; r < ranks; ++r) {
    if (r == 1) continue;
    const auto text = read(folder / ("operations.rank0000" + std::to_string(r) + ".txt"));
    EXPECT_NE(text.find("\t20\t"), std::string::npos) << "rank " << r << ": " << text;
    EXPECT_NE(text.find("\nsequence\tstate\tkind"), std::string::npos)
        << "rank " << r << ": " << text;
    EXPECT_NE(text.find("mpi/frozen_rank_program.cpp:"), std::string::npos)
        << "rank " << r << ": " << text;
  }
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Jobs, FrozenRank,
                         ::testing::Values(Case{2, "", "all_reduce"}, Case{3, "", "all_reduce"},
                                           Case{3, " host", "all_reduce of host values"}));

}  // namespace
