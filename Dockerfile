# Serve a model as a page and an API, on port 8000:
#
#   docker build --tag autoenc .
#   docker run --rm --publish 8000:8000 --volume "$PWD/model.safetensors:/model.safetensors:ro" autoenc /model.safetensors
#
# Without a model it fits EASE on the bundled ratings first. It runs under any --user.

FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.13-slim
# numba runs the kernels with OpenMP if its library is installed, and with a slower threading layer otherwise.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(ls /wheels/autoenc-*.whl)[serve]"

# Downloads, trained models and compiled kernels are stored here, as the user may have no home folder.
ENV AUTOENC_CACHE_DIR=/cache NUMBA_CACHE_DIR=/cache/kernels
RUN mkdir --mode 1777 /cache
USER 1000:1000

EXPOSE 8000
HEALTHCHECK --start-period=2m CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/api/health', timeout=5)"]
ENTRYPOINT ["autoenc", "serve", "--host", "0.0.0.0"]
