import { defineConfig } from 'vite'

// The same without uni-app: Vite alone.
export default defineConfig({
  build: { lib: { entry: 'src/plain.js', formats: ['cjs'], fileName: () => 'app.js' }, outDir: 'dist/plain' },
})
