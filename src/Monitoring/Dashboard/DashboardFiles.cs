using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using OrleansCache.Monitoring.Http;

namespace OrleansCache.Monitoring.Dashboard;

/// <summary>The dashboard's files out of the binary, compressed when one is asked for first. There is no way to any other file.</summary>
internal static class DashboardFiles
{
    private const string Prefix = "dashboard/";

    private static readonly FrozenDictionary<string, Lazy<DashboardFile>> s_files = typeof(DashboardFiles).Assembly.GetManifestResourceNames()
        .Where(static name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .ToFrozenDictionary(static name => PathOf(name[Prefix.Length..]), static name => new Lazy<DashboardFile>(() => Load(name)));

    public static bool Contains(string path) => s_files.ContainsKey(path);

    public static async Task AnswerAsync(HttpContext context, string path)
    {
        DashboardFile file = s_files[path].Value;
        HttpResponse response = context.Response;
        Reply.AddHeaders(response.Headers);
        response.Headers.ETag = file.Tag;
        response.Headers.CacheControl = "no-cache";
        response.Headers.Vary = "Accept-Encoding";
        if (context.Request.Headers.IfNoneMatch == file.Tag)
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        bool compressed = AcceptsGzip(context.Request.Headers.AcceptEncoding);
        if (compressed)
            response.Headers.ContentEncoding = "gzip";
        byte[] bytes = compressed ? file.Compressed : file.Bytes;
        response.ContentType = file.Type;
        response.ContentLength = bytes.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await response.Body.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    private static bool AcceptsGzip(StringValues header) => header.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase);

    private static string PathOf(string name) => name == "index.html" ? "/" : "/" + name;

    private static DashboardFile Load(string name)
    {
        using Stream resource = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        byte[] bytes = new byte[resource.Length];
        resource.ReadExactly(bytes);
        using var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.SmallestSize))
            gzip.Write(bytes);
        string type = Path.GetExtension(name) switch
        {
            ".html" => "text/html; charset=utf-8",
            ".js" => "text/javascript; charset=utf-8",
            ".css" => "text/css; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        };
        return new DashboardFile(bytes, compressed.ToArray(), type, $"\"{Convert.ToHexStringLower(SHA256.HashData(bytes)[..8])}\"");
    }

    private sealed record DashboardFile(byte[] Bytes, byte[] Compressed, string Type, string Tag);
}
