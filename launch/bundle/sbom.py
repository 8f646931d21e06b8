#!/usr/bin/env python3
"""Lists what a bundle is made of, as SPDX 2.3 in JSON on standard output.

    sbom.py NAME VERSION PACKAGES TORCH_VERSION [WHEELS]

PACKAGES: a file with the name of a Debian package per line, whose libraries the bundle holds. TORCH_VERSION: of the LibTorch that the
program was built with. WHEELS: launch/packaging/libtorch.txt, where the bundle holds LibTorch and the CUDA libraries.
"""
import datetime
import json
import os
import re
import subprocess
import sys


def package(name, version, purl):
    return {
        "name": name,
        "SPDXID": "SPDXRef-" + re.sub("[^A-Za-z0-9.-]", "-", f"{purl.split('/')[0].removeprefix('pkg:')}-{name}"),
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def debian_packages(names):
    command = ["dpkg-query", "-W", "-f=${Package} ${Version} ${Architecture}\n", *names]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        name, version, architecture = line.split()
        yield package(name, version, f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={architecture}")


def wheels(path):
    """The pinned wheels whose libraries a bundle with LibTorch holds."""
    for line in open(path):
        found = re.match(r"(torch|nvidia-[a-z0-9-]+)==(\S+)", line)
        if found:
            yield package(found[1], found[2], f"pkg:pypi/{found[1]}@{found[2]}")


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    name, version, list_of_packages, torch_version = sys.argv[1:5]
    names = sorted(set(open(list_of_packages).read().split()))
    program = package("diffprob", version, f"pkg:generic/diffprob@{version}")
    contained = list(debian_packages(names)) if names else []
    needed = []
    if len(sys.argv) == 6:
        contained += wheels(sys.argv[5])
    else:
        needed.append(package("torch", torch_version, f"pkg:pypi/torch@{torch_version}"))
    # The same bundle has the same list: builds of distributions set this variable.
    created = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", datetime.datetime.now().timestamp())), datetime.timezone.utc)
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": program["SPDXID"]}]
    for kind, parts in (("CONTAINS", contained), ("DEPENDS_ON", needed)):
        for part in parts:
            relations.append({"spdxElementId": program["SPDXID"], "relationshipType": kind, "relatedSpdxElement": part["SPDXID"]})
    json.dump({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{created:%Y%m%dT%H%M%SZ}",
        "creationInfo": {"created": f"{created:%Y-%m-%dT%H:%M:%SZ}", "creators": [f"Tool: diffprob-bundle-{version}"]},
        "packages": [program, *contained, *needed],
        "relationships": relations,
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
