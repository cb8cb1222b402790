import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
// The styles are one file: those of parts that are loaded later, too.
import "./views/access/access.css";
import "./views/privacy/privacy.css";

const root = document.getElementById("console");
if (root) {
  root.textContent = "";
  render(<App />, root);
}
