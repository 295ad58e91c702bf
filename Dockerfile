# One image for every process of ours: tallystick migrate | write | serve | work | follow, and tallystick demo.
FROM python:3.12-slim-trixie AS build
WORKDIR /source
COPY requirements/ requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/uv.lock \
 && uv venv /opt/tallystick \
 && uv pip install --no-cache --python /opt/tallystick/bin/python --compile-bytecode --require-hashes \
      --requirement requirements/runtime.lock \
 && uv pip install --no-cache --system --require-hashes --requirement requirements/build.lock
COPY . .
RUN python -m hatchling build --target wheel \
 && uv pip install --no-cache --python /opt/tallystick/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.12-slim-trixie
COPY --from=build /opt/tallystick /opt/tallystick
ENV PATH=/opt/tallystick/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --create-home tallystick \
 && install --directory --mode 0700 --owner tallystick --group tallystick /run/tallystick
USER 10001
WORKDIR /home/tallystick
EXPOSE 8000
ENTRYPOINT ["tallystick"]
