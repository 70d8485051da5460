// A real OpenID provider for the tests: panva's oidc-provider, which is certified.
// It prints its port in one line of JSON. PEOPLE (JSON): login → claims.
import http from "node:http";
import Provider from "oidc-provider";

const people = JSON.parse(process.env.PEOPLE);
const server = http.createServer((request, response) => handle(request, response));
let handle = () => {};

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: process.env.CLIENT_ID,
        client_secret: process.env.CLIENT_SECRET,
        redirect_uris: [process.env.REDIRECT_URI],
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: (context, id) =>
      people[id] && { accountId: id, claims: () => ({ ...people[id], sub: id }) },
  });
  handle = provider.callback();
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
