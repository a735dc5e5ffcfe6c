// Reads one install, or changes it, as a service of Node.js does: node share.js COMMAND URL KEY SECRET [JSON]
const [,, command, url, key, secret, given] = process.argv;
process.env.WORKER_API_HOST = url; process.env.ORCHESTY_API_KEY = key; process.env.CRYPT_SECRET = secret;
process.env.BACKEND_URL = 'http://b'; process.env.STARTING_POINT_URL = 'http://s'; process.env.APP_ENV = 'prod';
const lib = '@orchesty/nodejs-sdk/dist/lib';
const { ApplicationInstall } = require(`${lib}/Application/Database/ApplicationInstall`);
const Repository = require(`${lib}/Application/Database/ApplicationInstallRepository`).default;
const CryptManager = require(`${lib}/Crypt/CryptManager`).default;
const WindWalkerCrypt = require(`${lib}/Crypt/Impl/WindWalkerCrypt`).default;
const Client = require(`${lib}/Worker-api/Client`).default;
(async () => {
    const crypt = new CryptManager([new WindWalkerCrypt(secret)]);
    const repo = new Repository(ApplicationInstall, { getClient: () => new Client(url) }, crypt);
    const install = await repo.findByNameAndUser('books', 'alice');
    if (command === 'change') { install.addSettings(JSON.parse(given)); await repo.update(install); repo.clearCache(); }
    const found = await repo.findByNameAndUser('books', 'alice');
    console.log(JSON.stringify({ settings: found.getSettings(), plain: found.getNonEncryptedSettings() }));
})().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
