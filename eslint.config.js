import tseslint from "typescript-eslint";

/** Every import must match `regex`; anything else is refused with `message`. */
const only = (regex, message) => ["error", { patterns: [{ regex: `^(?!(${regex})$)`, message }] }];

export default tseslint.config(
  {
    ignores: [
      "dist",
      ".foldlog",
      "**/schemas/generated.ts",
      "eslint.config.js",
      "**/*.mjs",
      "**/*.cjs",
    ],
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/require-await": "off", // An async function may only return a promise.
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/consistent-type-imports": "error",
    },
  },
  {
    files: ["engine/*.ts"],
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-imports": only(
        "\\./.*|node:.*|[a-z@].*",
        "engine/ imports nothing of the application",
      ),
    },
  },
  {
    files: ["engine/*/*.ts"],
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-imports": only(
        "\\./.*|\\.\\./([a-z-]+/)?[a-z-]+\\.ts|node:.*|[a-z@].*",
        "engine/ imports nothing of the application",
      ),
    },
  },
  {
    files: ["processors/{aggregates,projections}/*.ts"],
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-imports": only(
        "\\.\\./\\.\\./(engine/(decider|projection)|schemas/generated|topics/catalog)\\.ts",
        "The domain is pure: it sees only the authoring types, the schemas and the topics",
      ),
      "no-restricted-globals": ["error", "process", "fetch", "setTimeout", "console"],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now" },
        { object: "Math", property: "random" },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: "No clock in the domain",
        },
      ],
    },
  },
);
