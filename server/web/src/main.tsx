import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Shell } from "./shell/shell";
import "./style/theme.css";
import "./style/page.css";
import "./style/shell.css";

const root = document.getElementById("page");
if (root) createRoot(root).render(<StrictMode><Shell /></StrictMode>);
