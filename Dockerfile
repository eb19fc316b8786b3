# One image for everything of ours: the command names what runs in it, for example `account`.
# A worker needs a volume at /var/lib/foldlog/state only; the rest of the file system may be read-only.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without scripts: they would fetch a Node and a Postgres for development.
RUN npm ci --ignore-scripts --omit=optional --loglevel=error
COPY . .
RUN npm run build \
 && find dist -name '*.d.ts' -delete

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=dev --loglevel=error

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    FOLDLOG_STATE_DIR=/var/lib/foldlog/state \
    FOLDLOG_METRICS_HOST=0.0.0.0 \
    FOLDLOG_METRICS_PORT=9464
# Volumes take their owner from the folders that they are mounted on.
RUN install -d -o node -g node /var/lib/foldlog/state /var/lib/foldlog/schema-ids
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
USER node
EXPOSE 9464
# However long a worker restores, that is no failure: only what lasts after half an hour is. Nor is a moment
# without partitions or without its database, which it waits for.
HEALTHCHECK --interval=5s --timeout=10s --retries=6 --start-period=30m \
  CMD ["node", "dist/ops/compose/is-ready.js"]
ENTRYPOINT ["node", "dist/processors/main.js"]
