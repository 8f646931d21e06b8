#pragma once

namespace diffprob::dist {

enum class ReduceOp { kSum, kMax, kMin };

}  // namespace diffprob::dist
