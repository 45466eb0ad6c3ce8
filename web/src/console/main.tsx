import "../i18n";
import "../ui/style.css";

import { createRoot } from "react-dom/client";

import { Session } from "../ui/session";
import { Console } from "./Console";

const root = document.getElementById("root");
if (root) createRoot(root).render(<Session>{(account, leave) => <Console account={account} leave={leave} />}</Session>);
