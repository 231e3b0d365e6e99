# The toolkit on the CPU. Build:  docker build --build-arg TORCH_INDEX=URL -t facerec .
# URL is the index of PyTorch's CPU builds, see https://pytorch.org/get-started/locally/; without it pip's own index is used.
# Run:    docker run --rm -v "$PWD:/data" facerec python -m clustering --help
FROM python:3.11-slim
ARG TORCH_INDEX
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
WORKDIR /toolkit
COPY requirements-clustering.txt requirements-cpu.txt ./
RUN pip install --no-cache-dir -r requirements-cpu.txt
COPY . .
RUN pip install --no-cache-dir --no-deps . && rm -rf /toolkit
WORKDIR /data
CMD ["python", "-m", "clustering", "--help"]
