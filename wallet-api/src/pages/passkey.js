// The one script of our pages. A form that needs a passkey brings what to ask the browser for in `data-options`; its answer
// goes into the field `response`. A form that needs this device brings what to prove in `data-device`: a proof (RFC 9449) goes into
// its field `proof`, a signature that approves a payment into `device`. Then it is sent like any other. Nothing is fetched, and
// nothing is kept but the device's pair of keys, which the browser gives to nobody, this script neither.
"use strict";

const loaded = Date.now();
const CURVE = { name: "ECDSA", namedCurve: "P-256" };

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

const done = (request) =>
    new Promise((take, fail) => {
        request.onsuccess = () => take(request.result);
        request.onerror = () => fail(request.error);
    });

async function kept(mode) {
    const opening = indexedDB.open("tessera", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("device");
    return (await done(opening)).transaction("device", mode).objectStore("device");
}

/** This device's pair for somebody; a browser that keeps none goes without, and is known by its passkey alone. */
async function pair(holder, make) {
    try {
        const there = make === "anew" ? undefined : await done((await kept("readonly")).get(holder));
        if (there || !make) return there;
        const made = await crypto.subtle.generateKey(CURVE, false, ["sign"]);
        await done((await kept("readwrite")).put(made, holder));
        return made;
    } catch {
        return undefined;
    }
}

const letters = (what) => new TextEncoder().encode(what);

const sign = async (own, what) =>
    text(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, own.privateKey, what));

/** The proof that the form's request comes from whoever has this pair. */
async function proof(own, address, { now, nonce, ath }) {
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", own.publicKey);
    // By the server's clock: a device's own may be wrong.
    const iat = now + Math.floor((Date.now() - loaded) / 1000);
    const claims = { jti: crypto.randomUUID(), htm: "POST", htu: address.origin + address.pathname, iat, nonce, ath };
    const parts = [{ typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } }, claims];
    const signed = parts.map((part) => text(letters(JSON.stringify(part)))).join(".");
    return `${signed}.${await sign(own, letters(signed))}`;
}

/** Fills in what this device has to say: whose it is stands in the form, in the options, or in the passkey's answer. */
async function device(form, asked, credential) {
    if (!form.dataset.device) return;
    const wish = JSON.parse(form.dataset.device);
    const handle = credential && credential.response.userHandle;
    const holder = wish.holder || (asked && asked.user ? asked.user.id : handle && text(handle));
    const own = holder && (await pair(holder, wish.make));
    if (!own) return;
    const { elements } = form;
    if (elements.proof) elements.proof.value = await proof(own, new URL(form.action), wish);
    if (elements.device) {
        const before = letters("tessera device approval v1\0");
        elements.device.value = await sign(own, new Uint8Array([...before, ...bytes(asked.challenge)]));
    }
}

const send = (form) => HTMLFormElement.prototype.submit.call(form);

function say(form, what) {
    for (const line of form.querySelectorAll("[data-say]")) line.hidden = line.dataset.say !== what;
}

async function ask(form) {
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    say(form, "waiting");
    try {
        const wish = JSON.parse(form.dataset.options);
        const does = form.dataset.passkey === "create" ? "create" : "get";
        const credential = await navigator.credentials[does](options(wish));
        form.elements.response.value = answer(credential);
        await device(form, wish.publicKey, credential);
        send(form);
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

// A form that needs the device alone.
for (const form of document.querySelectorAll("form[data-device]:not([data-passkey])")) {
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        device(form).finally(() => send(form));
    });
}

// A page that comes back from the browser's memory has a challenge that was answered, or is too old.
window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
});
