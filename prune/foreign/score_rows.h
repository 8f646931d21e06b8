#pragma once

#include <string>

#include "prune/files/npy_file.h"

namespace diffprob::prune {

/// Text as numpy.savetxt writes it (the paper's prob_*.txt): one number a line is one row [N];
/// several numbers a line (blanks or commas between them) are rows [E, N], one an epoch. Lines that
/// begin with '#' are comments. Holds the one row, or for one number a line all N. NaN, words and
/// rows of unequal length are errors that name the line. Throws PruneError, and whatever `take`
/// throws.
void read_text_rows(const std::string& path, const TakeRow& take);
/// read_npy_rows, read_text_rows, or read_prob_folder of a folder, by content.
void read_score_rows(const std::string& path, const TakeRow& take);

/// savetxt's default form: one number a line, 18 digits behind the point, so that float64 comes
/// back as it was. Atomic.
void write_text_column(const std::string& path, std::span<const double> values);

}  // namespace diffprob::prune
