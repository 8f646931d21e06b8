#include "dist/flight_recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "dist/mpi/operations_file.h"

namespace diffprob::dist {
namespace {

OperationInfo info(std::string_view kind, std::span<const std::int64_t> sizes,
                   std::source_location where = std::source_location::current()) {
  return {kind, "float32", sizes, where};
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(FlightRecorder, KeepsTheLast256InOrder) {
  const auto recorder = FlightRecorder::make("a", 0, 2);
  const std::vector<std::int64_t> sizes = {3, 4};
  for (int i = 0; i < 1000; ++i) recorder->finish(recorder->enqueue(info("all_reduce", sizes)));

  const auto records = recorder->records();

  ASSERT_EQ(records.size(), 256U);
  for (std::size_t i = 0; i < records.size(); ++i)
    EXPECT_EQ(records[i].sequence, 745 + static_cast<std::int64_t>(i));
  EXPECT_EQ(recorder->enqueued(), 1000);
  EXPECT_EQ(recorder->oldest_open(), 0);
  EXPECT_EQ(recorder->describe(744), "");  // gone
}

TEST(FlightRecorder, TellsStatesStepsPhasesAndLines) {
  const auto recorder = FlightRecorder::make("a", 0, 2);
  const std::vector<std::int64_t> sizes = {2, 3, 4, 5, 6, 7};

  const auto first = recorder->enqueue(info("broadcast", sizes));
  recorder->set_phase(Phase::kStep);
  recorder->set_step(41);
  const auto line = std::to_string(__LINE__ + 1);
  const auto second = recorder->enqueue(info("all_reduce", std::span(sizes).first(1)));
  recorder->start(first);
  recorder->finish(first);
  recorder->start(second);

  const auto records = recorder->records();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].state, OperationState::kFinished);
  EXPECT_EQ(records[0].phase, Phase::kStartup);
  EXPECT_EQ(shape_text(records[0]), "[2, 3, 4, 5, 42]");
  EXPECT_LE(records[0].enqueued, records[0].started);
  EXPECT_LE(records[0].started, records[0].finished);
  EXPECT_EQ(records[1].state, OperationState::kStarted);
  EXPECT_EQ(records[1].phase, Phase::kStep);
  EXPECT_EQ(records[1].step, 41);
  EXPECT_EQ(recorder->oldest_open(), second);
  EXPECT_EQ(recorder->describe(second),
            "#2 float32 [2] (step 41, dist/flight_recorder_test.cpp:" + line + ")");
  EXPECT_EQ(recorder->position(), "in all_reduce " + recorder->describe(second));
}

TEST(FlightRecorder, ScopeFinishesOrFails) {
  const auto recorder = FlightRecorder::make("a", 0, 1);
  { const RecordedOperation good(*recorder, info("barrier", {})); }
  try {
    const RecordedOperation bad(*recorder, info("barrier", {}));
    throw std::runtime_error("late");
  } catch (const std::runtime_error&) {
  }

  EXPECT_EQ(recorder->records()[0].state, OperationState::kFinished);
  EXPECT_EQ(recorder->records()[1].state, OperationState::kFailed);
  EXPECT_EQ(recorder->oldest_open(), 2);  // never done: it is the one to ask about
}

TEST(FlightRecorder, ThreadsMayShareIt) {
  const auto recorder = FlightRecorder::make("a", 0, 1);
  std::thread reader([&] {
    for (int i = 0; i < 200; ++i) (void)recorder->records();
  });
  std::thread runner([&] {
    for (std::int64_t n = 1; n <= 5000;) {
      if (recorder->enqueued() < n) continue;
      recorder->start(n);
      recorder->finish(n++);
    }
  });
  for (int i = 0; i < 5000; ++i) recorder->enqueue(info("all_reduce", {}));
  reader.join();
  runner.join();

  EXPECT_EQ(recorder->oldest_open(), 0);
}

TEST(OperationsFile, HoldsEveryCommunicatorOfTheProcess) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("diffprob_operations_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const auto control = FlightRecorder::make("control", 3, 8);
  const auto tensors = FlightRecorder::make("tensors", 3, 8);
  const std::vector<std::int64_t> sizes = {64, 512};
  control->finish(control->enqueue(info("barrier", {})));
  tensors->set_step(7);
  tensors->start(tensors->enqueue(info("reduce_scatter", sizes)));

  set_dump_folder(folder);
  const auto path = write_operations("because of a test");
  const std::string text = read(path);

  EXPECT_EQ(path, folder / "operations.rank00003.txt");
  EXPECT_NE(text.find("# because of a test\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# communicator control: 1 operations called, done with barrier #1"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# communicator tensors: 1 operations called, in reduce_scatter #1"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n1\tstarted\treduce_scatter\tfloat32\t[64, 512]\tstartup\t7\t"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("flight_recorder_test.cpp:"), std::string::npos) << text;
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}),
            1);  // no temporary file is left
  set_dump_folder({});
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace diffprob::dist
