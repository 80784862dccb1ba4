// An independent OPC UA client driven by JSON lines: each line in is a command {"do": ...}, each line out its answer.
"use strict";

const readline = require("node:readline");
const { promisify } = require("node:util");
const {
    AttributeIds, ClientSubscription, DataType, MessageSecurityMode, NodeClass, OPCUAClient, SecurityPolicy,
    TimestampsToReturn, UserTokenType, Variant,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

let client, session, subscription;
const seen = [];

const shown = (value) => ({
    value: value.value.value instanceof Object ? null : value.value.value,
    status: value.statusCode.name,
    source: value.sourceTimestamp ? value.sourceTimestamp.toISOString() : null,
    server: value.serverTimestamp ? value.serverTimestamp.toISOString() : null,
});

const commands = {
    async connect({ url, certificate, key, pki, policy, mode, user, password, uri }) {
        const clientCertificateManager = new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
        await clientCertificateManager.initialize();
        client = OPCUAClient.create({
            applicationName: "client", applicationUri: uri, endpointMustExist: false, clientCertificateManager,
            certificateFile: certificate, privateKeyFile: key, connectionStrategy: { maxRetry: 0 },
            securityMode: MessageSecurityMode[mode || "SignAndEncrypt"], securityPolicy: SecurityPolicy[policy || "Basic256Sha256"],
        });
        await client.connect(url);
        session = await client.createSession(
            user === undefined ? { type: UserTokenType.Anonymous } : { type: UserTokenType.UserName, userName: user, password }
        );
        return true;
    },
    async endpoints({ url }) {
        const one = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
        await one.connect(url);
        const found = await one.getEndpoints();
        await one.disconnect();
        return found.map((end) => ({
            mode: MessageSecurityMode[end.securityMode], policy: end.securityPolicyUri.split("#")[1],
            tokens: end.userIdentityTokens.map((token) => UserTokenType[token.tokenType]),
        }));
    },
    async browse({ id }) {
        const found = await session.browse({ nodeId: id, referenceTypeId: "HierarchicalReferences", includeSubtypes: true,
            browseDirection: 0, nodeClassMask: 0, resultMask: 63 });
        return found.references.map((one) => ({
            id: one.nodeId.toString(), name: one.browseName.name, shown: one.displayName.text, kind: NodeClass[one.nodeClass],
        }));
    },
    async read({ ids }) {
        const found = await session.read(ids.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })));
        return found.map(shown);
    },
    async unit({ id }) {
        const found = await session.read({ nodeId: `${id}#EngineeringUnits`, attributeId: AttributeIds.Value });
        const { unitId, displayName } = found.value.value;
        return { unitId, text: displayName.text };
    },
    async write({ id, value }) {
        const status = await session.write({ nodeId: id, attributeId: AttributeIds.Value,
            value: { value: new Variant({ dataType: DataType.Double, value }) } });
        return status.name;
    },
    async subscribe({ ids }) {
        subscription = ClientSubscription.create(session, { requestedPublishingInterval: 100, requestedLifetimeCount: 600,
            requestedMaxKeepAliveCount: 10, publishingEnabled: true });
        for (const nodeId of ids) {
            const item = await subscription.monitor({ nodeId, attributeId: AttributeIds.Value },
                { samplingInterval: 50, queueSize: 20, discardOldest: true }, TimestampsToReturn.Both);
            item.on("changed", (value) => seen.push({ id: nodeId, ...shown(value) }));
        }
        return true;
    },
    async seen() { return seen; },
    async call({ method, args }) {
        const result = await session.call({ objectId: "ns=2;s=/Dispatch", methodId: `ns=2;s=/Dispatch/${method}`,
            inputArguments: args.map(([type, value]) => new Variant({ dataType: DataType[type], value })) });
        return { status: result.statusCode.name, outputs: (result.outputArguments || []).map((one) => one.value) };
    },
    async close() {
        if (subscription) await subscription.terminate();
        if (session) await session.close();
        if (client) await client.disconnect();
        return true;
    },
};

const answer = promisify((text, done) => process.stdout.write(text + "\n", done));
(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const { do: name, ...rest } = JSON.parse(line);
        try {
            await answer(JSON.stringify({ ok: await commands[name](rest) }));
        } catch (error) {
            await answer(JSON.stringify({ error: String(error.message || error) }));
        }
    }
    process.exit(0);
})();
