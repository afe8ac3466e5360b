# One image for the portal, the gates and the workers; compose.yaml says which of them a container is.
FROM python:3.11-slim-bookworm AS requirements
COPY requirements/runtime.txt /requirements/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r /requirements/runtime.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --home-dir /var/lib/countersign --create-home countersign \
    && install --directory --mode 700 --owner countersign /var/lib/countersign-keys
COPY --from=requirements /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 COUNTERSIGN_DATA_DIR=/var/lib/countersign \
    COUNTERSIGN_KEYS_DIR=/var/lib/countersign-keys
WORKDIR /app
COPY . .
RUN python -m compileall -q .
USER countersign
VOLUME /var/lib/countersign /var/lib/countersign-keys
EXPOSE 8000
CMD ["daphne", "-v", "0", "-b", "0.0.0.0", "-p", "8000", "config.asgi:application"]
