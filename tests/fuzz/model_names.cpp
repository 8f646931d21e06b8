// The names of networks that the schema of the configuration offers; reading a configuration does
// not need the networks themselves.
#include "model/networks/options.h"

namespace diffprob::model {

std::vector<std::string> backbone_names() {
  return {"iresnet50", "mobilefacenet", "tiny"};
}

}  // namespace diffprob::model
