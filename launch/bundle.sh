#!/usr/bin/env bash
# Builds build/bundle and packs a folder that runs where it is unpacked, without root, internet or development packages: program, shared
# libraries, Open MPI, configurations, scripts, documentation. The C library stays outside (BUNDLE.txt in it says which one it needs).
#
#   launch/bundle.sh [--with-libtorch] [--output FILE.tar.gz]
#
#   --with-libtorch        also LibTorch and, of a CUDA wheel, its CUDA libraries (gigabytes). Without it DIFFPROB_LIBTORCH names
#                          the folder with lib/libtorch_cpu.so at run time.
#   --output FILE.tar.gz   default: build/bundle/diffprob-VERSION-MACHINE.tar.gz. The folder itself stays in build/bundle/stage.
set -euo pipefail
start_folder=$PWD
cd "$(dirname "$0")/.."
readonly libexec=libexec/diffprob

say() { printf 'bundle: %s\n' "$*" >&2; }
die() { printf 'bundle: error: %s\n' "$*" >&2; exit 1; }

with_libtorch=false
level=6  # of gzip
output=
while [ $# -gt 0 ]; do
  case $1 in
    --with-libtorch) with_libtorch=true level=1 ;;
    --output) [ $# -ge 2 ] || die "--output: expected a file"; output=$2; shift ;;
    --output=*) output=${1#--output=} ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' launch/bundle.sh; exit 0 ;;
    *) printf 'bundle: %s: unknown; see launch/bundle.sh --help\n' "$1" >&2; exit 2 ;;
  esac
  shift
done
case $output in
  '' | *.tar.gz) ;;
  *) printf 'bundle: --output %s: expected a name that ends in .tar.gz\n' "$output" >&2; exit 2 ;;
esac
case $output in '' | /*) ;; *) output=$start_folder/$output ;; esac
for tool in patchelf readelf ldd ompi_info cmake; do
  command -v "$tool" >/dev/null || die "$tool is missing (Debian: apt-get install patchelf binutils openmpi-bin cmake)"
done

build_program() {
  local log=build/bundle-build.log
  mkdir -p build
  cmake --preset bundle -DDIFFPROB_LIBTORCH="$libtorch" >"$log" 2>&1 && cmake --build --preset bundle -j "${DIFFPROB_JOBS:-$(nproc)}" --target diffprob >>"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; die "the build failed; its whole output is in $log"; }
}

# Where Open MPI has its parts: bindir, pkglibdir, ...
mpi_folder() { ompi_info --parsable --path "$1" | sed -n "s/^path:$1://p"; }

# Fabrics need libraries that fit the drivers of the machine, and OpenSHMEM is not used.
wanted_component() {
  case $1 in
    *_ofi.so | *_ucx.so | *_psm.so | *_psm2.so | *_openib.so | *_flux.so) return 1 ;;
    mca_atomic_* | mca_memheap_* | mca_scoll_* | mca_spml_* | mca_sshmem_* | mca_*_monitoring.so) return 1 ;;
    mca_*.so) return 0 ;;
    *) return 1 ;;
  esac
}

copy_open_mpi() {
  local prefix pkglib component
  prefix=$(mpi_folder prefix)
  pkglib=$(mpi_folder pkglibdir)
  [[ $pkglib == "$prefix"/* ]] || die "Open MPI's components are in $pkglib, outside of its prefix $prefix: it cannot be moved"
  components=$stage/${pkglib#"$prefix"/}
  mkdir -p "$components" "$stage/share" "$stage/etc/openmpi"
  cp "$(readlink -f "$(mpi_folder bindir)/orterun")" "$stage/$libexec/mpirun"
  cp "$(readlink -f "$(mpi_folder bindir)/orted")" "$stage/$libexec/orted"
  for component in "$pkglib"/*.so; do
    if wanted_component "$(basename "$component")"; then cp "$component" "$components/"; fi
  done
  mkdir -p "$stage/share/openmpi"
  cp "$(mpi_folder pkgdatadir)"/help-*.txt "$stage/share/openmpi/"
  cp "$(mpi_folder sysconfdir)"/openmpi-mca-params.conf "$(mpi_folder sysconfdir)"/openmpi-default-hostfile "$stage/etc/openmpi/"
  copy_pmix
}

# Components and help texts of a PMIx outside of Open MPI.
copy_pmix() {
  local library home
  library=$(ldd "$components"/mca_pmix_ext*.so 2>/dev/null | awk '$1 ~ /^libpmix\.so/ {print $3; exit}')
  [ -n "$library" ] || return 0
  home=$(dirname "$(readlink -f "$library")")
  mkdir -p "$stage/pmix/lib" "$stage/pmix/share/pmix"
  [ ! -d "$home/pmix" ] || cp -r "$home/pmix" "$stage/pmix/lib/"
  cp "$home"/../share/pmix/help-*.txt "$stage/pmix/share/pmix/" 2>/dev/null || say "no PMIx help texts next to $home"
}

# Programs, components and libraries of the bundle itself; LibTorch is left as it is.
own_binaries() {
  local file
  find "$stage/$libexec" "$stage/lib" "$stage/pmix" -type f 2>/dev/null | while read -r file; do
    if [ "$(head -c 4 "$file" | tr -d '\0')" = $'\x7fELF' ]; then printf '%s\n' "$file"; fi
  done
}

# Lines "NAME PATH" of every library that the files given need, directly or not. glibc, the loader and LibTorch with its CUDA stay outside.
needed_libraries() {
  local missing
  missing=$(ldd "$@" | awk '/not found/ {print $1}' | sort -u)
  [ -z "$missing" ] || die "missing libraries: $missing"
  ldd "$@" | awk '$2 == "=>" {print $1, $3}' | sort -u |
    grep -Ev '^(libc|libm|libdl|librt|libpthread|libresolv|libutil|libnsl|libanl|libmvec|ld-linux[^ ]*)\.so\.[0-9]+ ' |
    grep -vF -e "$libtorch/" -e "$(dirname "$libtorch")/nvidia/" || true
}

copy_libraries() {
  local files name path
  mapfile -t files < <(own_binaries)
  needed_libraries "${files[@]}" >"$stage/../libraries.txt"
  while read -r name path; do
    cp "$(readlink -f "$path")" "$stage/lib/$name"
  done <"$stage/../libraries.txt"
}

# RPATH in mpirun and orted holds for everything that they load, before whatever modules put on LD_LIBRARY_PATH. The program takes RUNPATH, and
# bin/diffprob puts lib first on LD_LIBRARY_PATH, so that a cluster's MPI can be put before ours. Libraries lose the paths
# that they bring (a library with a RUNPATH would not see the RPATH of who loads it).
set_paths() {
  local file
  own_binaries | while read -r file; do
    if readelf -d "$file" | grep -qE 'R(UN)?PATH'; then patchelf --remove-rpath "$file"; fi
  done
  patchelf --force-rpath --set-rpath "\$ORIGIN/../../lib" "$stage/$libexec/mpirun"
  patchelf --force-rpath --set-rpath "\$ORIGIN/../../lib" "$stage/$libexec/orted"
  patchelf --set-rpath "\$ORIGIN/../../lib" "$stage/$libexec/diffprob"
}

copy_libtorch() {
  mkdir -p "$stage/libtorch/lib"
  local file folder
  for file in "$libtorch"/lib/*.so*; do
    case $(basename "$file") in
      libtorch_python* | libshm*) ;;
      *) cp -P "$file" "$stage/libtorch/lib/" ;;
    esac
  done
  for folder in "$(dirname "$libtorch")"/nvidia/*/lib; do
    [ -d "$folder" ] || continue
    mkdir -p "$stage/nvidia/$(basename "$(dirname "$folder")")"
    cp -rP "$folder" "$stage/nvidia/$(basename "$(dirname "$folder")")/"
  done
}

# What Debian's packages say of the rights of their libraries.
copy_licenses() {
  local path package
  mkdir -p "$stage/share/doc/diffprob/licenses"
  { cut -d' ' -f2 "$stage/../libraries.txt" | while read -r path; do printf '%s\n%s\n' "$path" "$(readlink -f "$path")"; done; readlink -f "$(command -v orted)"; } |
    sort -u | xargs dpkg -S 2>/dev/null | cut -d: -f1 | sort -u >"$stage/../packages.txt" || true
  while read -r package; do
    [ ! -e "/usr/share/doc/$package/copyright" ] || cp -L "/usr/share/doc/$package/copyright" "$stage/share/doc/diffprob/licenses/$package.txt"
  done <"$stage/../packages.txt"
}

# The newest symbol version of glibc that anything in the bundle asks for.
minimal_glibc() {
  own_binaries | xargs readelf -W --version-info | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1 | sed 's/GLIBC_//'
}

# What the bundle is made of, for those who must know it: packages with versions, in SPDX.
write_sbom() {
  local wheels=()
  if $with_libtorch; then wheels=(launch/packaging/libtorch.txt); fi
  launch/bundle/sbom.py "$name" "$version" "$stage/../packages.txt" "${torch_version:-unknown}" "${wheels[@]}" >"$stage/SBOM.spdx.json"
}

write_description() {
  {
    printf '%s\n' "$name"
    printf 'commit     %s\n' "$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    printf 'glibc      %s or newer\n' "$(minimal_glibc)"
    printf 'LibTorch   %s%s\n' "${torch_version:-unknown}" "$($with_libtorch && echo ' (in libtorch)' || echo ' (not included: set DIFFPROB_LIBTORCH to its folder)')"
    printf 'Open MPI   %s (shared memory and TCP; no fabric components)\n' "$(ompi_info --version | sed -n '1s/^Open MPI v//p')"
    printf 'images     JPEG only (DIFFPROB_WITH_IMGCODECS=OFF)\n\n'
    printf '    export DIFFPROB_LIBTORCH=/path/to/site-packages/torch   # unless libtorch is here\n'
    printf '    . launch/environment.sh\n'
    printf '    bin/mpirun -np 2 --bind-to none --oversubscribe bin/diffprob run launch/configs/quickstart.yaml\n\n'
    printf 'More: share/doc/diffprob/launch/docs/building_and_testing.md. Licences of the libraries: share/doc/diffprob/licenses.\n\nLibraries from:\n'
    sed 's/^/  /' "$stage/../packages.txt"
  } >"$stage/BUNDLE.txt"
}

[ -z "$output" ] || mkdir -p "$(dirname "$output")"
libtorch=$(./launch/setup.sh --print-libtorch)
build_program
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' build/bundle/CMakeCache.txt)
name=diffprob-$version-linux-$(uname -m)
stage=$PWD/build/bundle/stage/$name
rm -rf build/bundle/stage
mkdir -p "$stage/$libexec" "$stage/lib"
cmake --install build/bundle --prefix "$stage" --strip >build/bundle-install.log 2>&1 || { tail -n 20 build/bundle-install.log >&2; die "cmake --install failed"; }
mv "$stage/bin/diffprob" "$stage/$libexec/diffprob"
for program in diffprob mpirun orted; do install -m 755 launch/bundle/start.sh "$stage/bin/$program"; done
ln -s share/diffprob/launch "$stage/launch"
ln -s share/doc/diffprob/README.md share/doc/diffprob/LICENSE "$stage/"
copy_open_mpi
copy_libraries
set_paths
copy_licenses
if $with_libtorch; then copy_libtorch; fi
torch_version=$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$libtorch/version.py" 2>/dev/null || cat "$libtorch/build-version" 2>/dev/null || true)
write_sbom
write_description

output=${output:-$PWD/build/bundle/$name.tar.gz}
trap 'rm -f "$output.tmp"' EXIT
tar -C build/bundle/stage --owner=0 --group=0 --numeric-owner --sort=name -cf - "$name" | gzip "-$level" >"$output.tmp"
mv "$output.tmp" "$output"
say "$output: $(du -h --apparent-size "$output" | cut -f1) ($(stat -c %s "$output") bytes); unpacked $(du -sh --apparent-size "$stage" | cut -f1); glibc $(minimal_glibc) or newer"
