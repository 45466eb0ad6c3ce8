import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 1200,
    rollupOptions: { input: { console: "index.html", phone: "m.html" } },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
