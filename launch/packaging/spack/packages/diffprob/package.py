# Spack 1.0 or later. In a checkout:
#
#   spack repo add launch/packaging/spack
#   spack dev-build --source-path "$PWD" diffprob@0.2.0 +cuda cuda_arch=90
from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Diffprob(CMakePackage, CudaPackage):
    """Trains face-recognition models on many GPUs, computes the probability of every training sample, prunes
    and cleans the data set with these (DiffProb), retrains on what is kept and verifies both models."""

    homepage = "https://arxiv.org/abs/2505.15272"
    # No archive is published: build from a checkout, as above.
    manual_download = True

    version("0.2.0")

    variant("imgcodecs", default=True, description="Read PNG, BMP, WebP and unusual JPEG through OpenCV's imgcodecs")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("nlohmann-json", type="build")
    depends_on("openmpi")
    depends_on("python", type=("build", "run"))
    depends_on("py-torch@2.9:2.11", type=("build", "link", "run"))
    depends_on("py-torch ~cuda", when="~cuda")
    depends_on("py-torch +cuda", when="+cuda")
    depends_on("nccl", when="+cuda")
    depends_on("opencv@4 +imgproc")
    depends_on("opencv +imgcodecs", when="+imgcodecs")
    depends_on("hdf5@1.10:")
    depends_on("fmt")
    depends_on("spdlog@1.10:")
    depends_on("yaml-cpp@0.7:")
    depends_on("libjpeg-turbo@2:")
    depends_on("openssl@3:")

    generator("ninja")

    def cmake_args(self):
        site_packages = self.spec["python"].package.platlib
        args = [
            self.define("DIFFPROB_LIBTORCH", join_path(self.spec["py-torch"].prefix, site_packages, "torch")),
            self.define("DIFFPROB_WITH_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF"),
            self.define_from_variant("DIFFPROB_WITH_IMGCODECS", "imgcodecs"),
            self.define("DIFFPROB_UNITY", True),
            self.define("DIFFPROB_BUILD_TESTS", False),
        ]
        if self.spec.satisfies("+cuda") and self.spec.variants["cuda_arch"].value[0] != "none":
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", list(self.spec.variants["cuda_arch"].value)))
        return args
