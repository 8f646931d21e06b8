"""json_difference.py A B: the largest relative difference of numbers in two JSON files of the same structure, and where it is."""
import json
import sys


def numbers(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, f"{path}[{index}]")
    else:
        yield path, value


def distance(a, b):
    if a == b:
        return 0.0
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return abs(a - b) / max(1.0, abs(a), abs(b))
    return float("inf")


a, b = (dict(numbers(json.load(open(name)))) for name in sys.argv[1:])
if a.keys() != b.keys():
    sys.exit("other structure")
largest = max(a, key=lambda path: distance(a[path], b[path]))
print(f"{sum(a[path] != b[path] for path in a)} of {len(a)} values, largest {distance(a[largest], b[largest]):.3g} at {largest}")
