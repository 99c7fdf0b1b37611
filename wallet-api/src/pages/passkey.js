// The one script of our pages. A form that needs a passkey brings what to ask the browser for in `data-options`; its answer
// goes into the field `response`, and then the form is sent like any other. Nothing is fetched, nothing is kept.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const ids = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

/** What `navigator.credentials` takes: the options with bytes in the place of text. */
function options({ publicKey: asked }) {
    const publicKey = { ...asked, challenge: bytes(asked.challenge) };
    if (asked.user) publicKey.user = { ...asked.user, id: bytes(asked.user.id) };
    if (asked.excludeCredentials) publicKey.excludeCredentials = ids(asked.excludeCredentials);
    if (asked.allowCredentials) publicKey.allowCredentials = ids(asked.allowCredentials);
    return { publicKey };
}

/** The answer as text: PublicKeyCredential.toJSON(), which not every browser has. */
function answer(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    return JSON.stringify({
        id: credential.id,
        rawId: text(credential.rawId),
        type: credential.type,
        response,
        clientExtensionResults: credential.getClientExtensionResults(),
    });
}

function say(form, what) {
    for (const line of form.querySelectorAll("[data-say]")) line.hidden = line.dataset.say !== what;
}

async function ask(form) {
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    say(form, "waiting");
    try {
        const wish = options(JSON.parse(form.dataset.options));
        const does = form.dataset.passkey === "create" ? "create" : "get";
        form.elements.response.value = answer(await navigator.credentials[does](wish));
        HTMLFormElement.prototype.submit.call(form);
    } catch {
        // Whoever closed the dialogue, or has no passkey here, may try again. Why it failed is not told to pages either.
        button.disabled = false;
        say(form, "failed");
        button.focus();
    }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        ask(form);
    });
    if (!window.PublicKeyCredential) {
        form.querySelector("button[type=submit]").disabled = true;
        say(form, "unsupported");
    }
}

// A page that comes back from the browser's memory has a challenge that was answered, or is too old.
window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
});
