// Reads the install of alice, or renews its token, as a service of Node.js does.
// node share.js COMMAND URL KEY SECRET TOKEN_URL
const [,, command, url, key, secret, tokenUrl] = process.argv;
process.env.WORKER_API_HOST = url; process.env.ORCHESTY_API_KEY = key; process.env.CRYPT_SECRET = secret;
process.env.BACKEND_URL = 'http://b'; process.env.STARTING_POINT_URL = 'http://s'; process.env.APP_ENV = 'prod';
const lib = '@orchesty/nodejs-sdk/dist/lib';
const { ApplicationInstall } = require(`${lib}/Application/Database/ApplicationInstall`);
const Repository = require(`${lib}/Application/Database/ApplicationInstallRepository`).default;
const { OAuth2Provider } = require(`${lib}/Authorization/Provider/OAuth2/OAuth2Provider`);
const AOAuth2Application = require(`${lib}/Authorization/Type/OAuth2/AOAuth2Application`).default;
const CryptManager = require(`${lib}/Crypt/CryptManager`).default;
const WindWalkerCrypt = require(`${lib}/Crypt/Impl/WindWalkerCrypt`).default;
const Client = require(`${lib}/Worker-api/Client`).default;

class Library extends AOAuth2Application {
    getName() { return 'library'; }
    getAuthUrl() { return tokenUrl; }
    getTokenUrl() { return tokenUrl; }
    getScopes() { return ['read']; }
}

(async () => {
    const crypt = new CryptManager([new WindWalkerCrypt(secret)]);
    const repo = new Repository(ApplicationInstall, { getClient: () => new Client(url) }, crypt);
    const install = await repo.findByNameAndUser('library', 'alice');
    if (command === 'renew') {
        const application = new Library(new OAuth2Provider(process.env.BACKEND_URL));
        application.setFrontendRedirectUrl(install, 'https://page');
        await repo.update(await application.refreshAuthorization(install));
    }
    console.log(JSON.stringify(install.getSettings()));
})().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
