#include "launch/config/precision.h"
#include "launch/config/rows.h"
#include "launch/config/sections.h"
#include "model/margin/options.h"
#include "model/networks/options.h"

namespace diffprob::launch {

namespace {

std::vector<Field> network_fields(ModelConfig& m) {
  return {
      text("model.backbone", &m.network.name, "network", model::backbone_names()),
      number("model.embedding_dim", &m.network.embedding_dim, 2, 8192, "embedding size D"),
      number("model.dropout", &m.network.dropout, 0, 0.95,
             "dropout before the last fully connected layer (IResNet only)"),
      number("model.drop_path", &m.network.drop_path, -1, 0.95,
             "share of the residual branches that the last block of a vision transformer drops in "
             "training (stochastic depth); -1: the published value"),
      number("model.mask_ratio", &m.network.mask_ratio, -1, 0.95,
             "share of the patches that a vision transformer leaves out in training; -1: the "
             "published value"),
      flag("model.recompute", &m.network.recompute,
           "activation checkpointing: saves memory, takes about a third more time"),
      flag("model.sync_batch_norm", &m.sync_batch_norm,
           "batch statistics over all ranks, so that W ranks train like one"),
      flag("model.fused_batch_norm", &m.network.fused_batch_norm,
           "use fused kernels for batch norm with PReLU and residual sum; false: LibTorch's "
           "operators"),
  };
}

std::vector<Field> loss_fields(ModelConfig& m) {
  return {
      one_of("model.loss", &m.head.margin.kind, "margin of the head",
             words(model::margin_names(), model::margin_kind)),
      one_of(
          "model.loss_preset", &m.head.margin.preset,
          "'default': as published; 'reference': as in the paper's code; 'arcface_torch': "
          "gradients of arcface, combined and adaface as in arcface_torch and CVLface, where the "
          "slope of a logit is s at every angle",
          {{"default", model::LossPreset::kPublished},
           {"reference", model::LossPreset::kReference},
           {"arcface_torch", model::LossPreset::kArcfaceTorch}}),
      number("model.scale", &m.head.margin.scale, 1, 1000, "s: logits are s * cosine"),
      number("model.margin", &m.head.margin.margin, -1, 2,
             "m of the margin; -1: the published value of the loss"),
      number("model.m1", &m.head.margin.m1, 0, 10, "loss combined: cos(m1 theta + m2) - m3"),
      number("model.m2", &m.head.margin.m2, 0, 2, "loss combined"),
      number("model.m3", &m.head.margin.m3, 0, 2, "loss combined"),
      number("model.elastic_std", &m.head.margin.elastic_std, -1, 1,
             "elastic losses: standard deviation of the drawn margins; -1: the published value"),
      number("model.curricular_momentum", &m.head.margin.curricular_momentum, 0, 1,
             "CurricularFace: weight of the new batch in t"),
      number("model.adaface_h", &m.head.margin.adaface_h, 0.001, 10,
             "AdaFace: concentration of the norm statistic"),
      number("model.adaface_t_alpha", &m.head.margin.adaface_t_alpha, 0, 1,
             "AdaFace: weight of the new batch in the norm statistic"),
      number("model.filter_threshold", &m.head.margin.filter_threshold, 0, 1,
             "inter-class filtering: other classes with a larger cosine get logit 0; 0: off"),
  };
}

std::vector<Field> head_fields(ModelConfig& m) {
  return {
      number("model.sample_rate", &m.head.sample_rate, 0, 1,
             "share of the classes used per step (Partial FC), those of the batch always among "
             "them; 0: those of the batch alone; 1: all"),
      number("model.head_buffer_mib", &m.head_buffer_mib, 1, 1e6,
             "largest buffer of logits per rank; above it the head works in chunks of classes"),
      one_of("model.head_storage", &m.head.storage,
             "number format in which class centres and their momenta are stored",
             {{"fp32", at::kFloat}, {"bf16", at::kBFloat16}}),
      text(
          "model.head_group", &m.head_group,
          "ranks that share one copy of the classes: 0: all; a number: groups of that many ranks, "
          "each with a copy, so that embeddings travel inside a group only; node: the ranks of a "
          "node; auto: node where that is less traffic (on CPUs; groups have not run on GPUs yet)"),
      one_of("model.embedding_dtype", &m.head.embedding_wire,
             "number format in which embeddings travel to the ranks that hold the classes",
             format_words()),
  };
}

std::vector<Field> file_fields(ModelConfig& m) {
  return {
      path("model.checkpoint", &m.checkpoint,
           "checkpoint folder (score, embed, eval, export) or weight file (embed, eval, export; "
           "score and run with model.head or score.head=centroids)"),
      path("model.head", &m.head_files,
           "class centres of a network that was trained elsewhere, for the set that it was trained "
           "on: files (the paper's header.pth, arcface_torch's checkpoint_gpu_R.pt or "
           "rank_R_softmax_weight.pt, Lightning .ckpt, .safetensors) or a folder of such; with "
           "model.checkpoint for score and run, with train.init for train"),
      one_of("model.channel_order", &m.channel_order,
             "order of the colours in the images that the network of a weight file was trained "
             "on; bgr: the input channels of its first convolution are reversed when it is read",
             {{"rgb", model::ChannelOrder::kRgb}, {"bgr", model::ChannelOrder::kBgr}}),
  };
}

}  // namespace

std::vector<Field> model_fields(ModelConfig& m) {
  std::vector<Field> fields;
  for (const std::vector<Field>& part :
       {network_fields(m), loss_fields(m), head_fields(m), file_fields(m)})
    fields.insert(fields.end(), part.begin(), part.end());
  return fields;
}

}  // namespace diffprob::launch
