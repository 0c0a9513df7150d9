# Builds the program and puts it into a small image.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --bin pythia

FROM debian:bookworm-slim AS pythia
RUN useradd --system --uid 10001 pythia
COPY --from=build /src/target/dist/pythia /usr/local/bin/pythia
COPY rules /etc/pythia/rules
USER pythia
EXPOSE 9464
ENTRYPOINT ["pythia"]
CMD ["run"]

# Sends the recorded events that ship with the repository, again and again, as two hosts.
FROM debian:bookworm-slim AS producer
RUN apt-get update && apt-get install -y --no-install-recommends kcat zstd && rm -rf /var/lib/apt/lists/*
COPY tests/data/fleet.jsonl.zst /fleet.jsonl.zst
ENV BROKERS=kafka:9092 TOPIC=laurel
CMD ["sh", "-c", "while true; do for host in web-01 db-01; do zstd -dcq /fleet.jsonl.zst | kcat -P -b \"$BROKERS\" -t \"$TOPIC\" -k \"$host\" -z lz4; done; sleep 10; done"]
