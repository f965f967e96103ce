using System.Collections.Frozen;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OrleansCache.Monitoring.Http;

namespace OrleansCache.Monitoring.Api;

/// <summary>The paths below /api.</summary>
internal static class ApiPaths
{
    private static readonly FrozenDictionary<string, Func<DocumentBuilder, object>> s_documents = new Dictionary<string, Func<DocumentBuilder, object>>
    {
        ["/api/status"] = static builder => builder.Status(),
        ["/api/silos"] = static builder => builder.Silos(),
        ["/api/partitions"] = static builder => builder.Partitions(),
        ["/api/memory"] = static builder => builder.Memory(),
        ["/api/commands"] = static builder => builder.Commands(),
        ["/api/connections"] = static builder => builder.Connections(),
        ["/api/keys"] = static builder => builder.Keys(),
        ["/api/settings"] = static builder => builder.Settings(),
        ["/api/warnings"] = static builder => builder.Warnings(),
        ["/api/all"] = static builder => builder.All(),
    }.ToFrozenDictionary();

    public static bool Contains(string path) => s_documents.ContainsKey(path);

    public static async Task AnswerAsync(HttpContext context, NodeReader reader, string path)
    {
        bool aboutCluster = path is "/api/status" or "/api/silos" or "/api/partitions" or "/api/warnings" or "/api/all";
        NodeSnapshot snapshot = aboutCluster ? await reader.ReadAllAsync().ConfigureAwait(false) : reader.Read();
        object document = s_documents[path](new DocumentBuilder(reader, snapshot));
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(document, document.GetType(), ApiJson.Default);
        await Reply.BytesAsync(context, StatusCodes.Status200OK, "application/json", json).ConfigureAwait(false);
    }
}
