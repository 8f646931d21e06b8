"""Checks .onnx files with the onnx package and runs them with onnxruntime on the CPU.

  run_onnx.py FACES FILE...    embeddings of FACES to FILE.embeddings; one line a file: opset, input and output as onnxruntime sees them
FACES: raw float32 [n, 3, 112, 112], of which the first goes alone and the rest together; FILE.embeddings: raw float32 [n, D].
Exit code 77: this Python lacks a package, which is named.
"""
import sys

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(error)
    sys.exit(77)


def describe(value):
    return f"{value.name}:{value.type}:{'x'.join(map(str, value.shape))}"


def run(path, faces):
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    parts = [session.run([target.name], {source.name: part})[0] for part in (faces[:1], faces[1:])]
    numpy.concatenate(parts).tofile(path + ".embeddings")
    (opset,) = onnx.load(path, load_external_data=False).opset_import
    print(opset.version, describe(source), describe(target))


if __name__ == "__main__":
    images = numpy.fromfile(sys.argv[1], dtype=numpy.float32).reshape(-1, 3, 112, 112)
    for name in sys.argv[2:]:
        run(name, images)
