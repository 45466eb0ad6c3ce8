import "../i18n";
import "../ui/style.css";

import { createRoot } from "react-dom/client";

import { Session } from "../ui/session";
import { Phone } from "./Phone";

const root = document.getElementById("root");
if (root) createRoot(root).render(<Session>{(account, leave) => <Phone account={account} leave={leave} />}</Session>);
