import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv } from "vite";

// What `make page-dev` asks for the API: a service that runs.
const service = loadEnv("", ".", "EVERTURN_URL").EVERTURN_URL ?? "http://127.0.0.1:2024";
const routes = "^/(api|assistants|threads|runs|store|info|ok|openapi.json|page/config.json)(/|$|\\?)";

export default defineConfig({
  plugins: [react()],
  // Relative addresses, so that the page works below a prefix, too. The service serves the page at
  // `/` and its parts at `/page/…`.
  base: "./",
  build: {
    outDir: "../api/page/assets",
    assetsDir: "page",
    emptyOutDir: true,
    target: "es2022",
    // The content policy has no `data:` addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { [routes]: { target: service, ws: true, changeOrigin: true } } },
});
