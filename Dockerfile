# The image of manifests/ and of the chart, for both planes. It holds no PostgreSQL: give --plane postgres a --database-url.
#   docker build -t ghcr.io/dispatcher-dev/dispatcher:0.1.0 .
ARG NODE=docker.io/library/node:22-bookworm-slim

FROM ${NODE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY prisma.config.ts tsconfig.json ./
COPY prisma prisma
COPY scripts scripts
COPY src src
RUN npm run build

# Anew, not pruned: what the build left behind stays there.
FROM ${NODE} AS dependencies
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force

FROM ${NODE}
LABEL org.opencontainers.image.ref.name="ghcr.io/dispatcher-dev/dispatcher" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.description="Keeps a fleet of virtual machines the way people declared it" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=dependencies /src/node_modules node_modules
COPY --from=build /src/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY prisma prisma
COPY manifests manifests
RUN ln -s /app/bin/dispatcher.mjs /usr/local/bin/dispatcher \
 && mkdir /var/lib/dispatcher && chown 65532:65532 /var/lib/dispatcher
ENV NODE_ENV=production DISPATCHER_DATA_DIR=/var/lib/dispatcher
# A number, so that Kubernetes can see that it is not root. The root filesystem may be read-only.
USER 65532:65532
VOLUME /var/lib/dispatcher
EXPOSE 5070 5443
ENTRYPOINT ["node", "/app/bin/dispatcher.mjs"]
CMD ["serve"]
