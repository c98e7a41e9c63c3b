# One image for every role: the command names the role (docker-compose.yml shows all of them).
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

# What production runs on, and nothing else.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=dev

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && rm build/.tsbuildinfo

FROM ${NODE_IMAGE} AS runtime
WORKDIR /app
# The node user's folders for volumes: a named volume takes over owner and mode of the folder it is mounted on.
RUN install -d -m 0700 -o 1000 -g 1000 /var/lib/opsconductor /var/lib/opsconductor-keys /var/lib/opsconductor-api-keys \
 && ln -s /app/bin/opsconductor.mjs /usr/local/bin/opsconductor
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/build ./build
COPY package.json ./
COPY bin/opsconductor.mjs ./bin/opsconductor.mjs

# Every role answers for its health on this port, on loopback unless it is told otherwise.
ENV OPSCONDUCTOR_DATA_DIR=/var/lib/opsconductor \
    OPSCONDUCTOR_KEK_FILE=/var/lib/opsconductor-keys/kek.json \
    OPSCONDUCTOR_API_KEYS_FILE=/var/lib/opsconductor-api-keys/api-keys.json \
    OPSCONDUCTOR_PORT=7400 \
    OPSCONDUCTOR_HEALTH_PORT=7400

USER 1000:1000
EXPOSE 7400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["node", "/app/build/infra/docker/health-check.js", "http://127.0.0.1:7400/health/ready"]
ENTRYPOINT ["node", "/app/bin/opsconductor.mjs"]
CMD ["--help"]
