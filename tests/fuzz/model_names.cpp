// The names that the schema of the configuration offers; the networks and margins behind them are
// not needed to read one.
#include "model/margin/margin.h"
#include "model/networks/backbone.h"

namespace diffprob::model {

std::vector<std::string> backbone_names() {
  return {"iresnet50", "mobilefacenet", "tiny"};
}
std::vector<std::string> margin_names() {
  return {"adaface", "arcface", "cosface"};
}

}  // namespace diffprob::model
