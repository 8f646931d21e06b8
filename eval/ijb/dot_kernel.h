#pragma once

#include <cstdint>

namespace diffprob::eval {

/// out[i] = dot product of `vector` [dim] and row rows[i] of `matrix` [.., dim], float64, for i in
/// [0, count). Terms are added in an order that depends on dim alone: a product has the same bits
/// whatever else is computed beside it. Compiled for the widest vectors of the machine.
void dots_with_rows(const double* vector, const double* matrix, std::int64_t dim,
                    const std::int32_t* rows, std::int64_t count, double* out);

}  // namespace diffprob::eval
