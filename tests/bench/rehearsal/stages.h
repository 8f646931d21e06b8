#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"

/// The stages of tests/bench/rehearsal.sh that no command of the program is: each prints one JSON
/// line, and throws when what it checks is wrong.
namespace diffprob::rehearsal {

/// Writes a long-tailed set of so many identities as FOLDER/shard_0, shard_1 ...: record files of
/// small valid JPEGs, no two of which are the same bytes, but for every 1000th sample of a shard,
/// which is a copy of the one before. One process.
void write_set(const std::string& folder, std::int64_t samples, std::int64_t identities,
               int shards);

/// Walks through an epoch of every kind of sampling as the ranks of a job of `world_size` would,
/// each rank's batches in turn: all of the set, and what the list `kept` keeps. One process.
void walk_orders(const std::vector<std::string>& paths, const std::string& kept, int world_size);

/// Writes made-up scores part by part as a scoring does; ends the process without a word after
/// `kill_after` parts (0: never). What finds all parts writes FOLDER/scores.h5. Collective.
void write_scores(const std::string& folder, const std::vector<std::string>& paths,
                  std::int64_t kill_after, dist::HostCollectives& control);

/// Writes made-up training dynamics of the set as FOLDER/dynamics.h5. One process.
void write_dynamics(const std::string& folder, const std::vector<std::string>& paths);

/// Writes a checkpoint whose head has `classes` x 512 weights; each is a function of its place.
/// Collective.
void write_head(const std::string& folder, std::int64_t classes, dist::HostCollectives& control);
/// Reads it on whatever number of ranks, and checks every weight. Collective.
void read_head(const std::string& folder, std::int64_t classes, dist::HostCollectives& control);

}  // namespace diffprob::rehearsal
