using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace OrleansCache.Monitoring.Http;

/// <summary>Writes answers, with the headers that all of them have.</summary>
internal static class Reply
{
    /// <summary>The page loads nothing from elsewhere, runs only its own files, and is shown in no frame.</summary>
    private const string ContentPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    public static Task TextAsync(HttpContext context, int status, string text) =>
        BytesAsync(context, status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text));

    public static Task ErrorAsync(HttpContext context, int status, string error) =>
        BytesAsync(context, status, "application/json", Encoding.UTF8.GetBytes($"{{\"error\": \"{JsonEncodedText.Encode(error)}\"}}\n"));

    public static async Task BytesAsync(HttpContext context, int status, string type, ReadOnlyMemory<byte> bytes)
    {
        HttpResponse response = context.Response;
        response.StatusCode = status;
        response.ContentType = type;
        response.ContentLength = bytes.Length;
        AddHeaders(response.Headers);
        response.Headers.CacheControl = "no-store";
        if (!HttpMethods.IsHead(context.Request.Method))
            await response.Body.WriteAsync(bytes, context.RequestAborted).ConfigureAwait(false);
    }

    public static void AddHeaders(IHeaderDictionary headers)
    {
        headers.ContentSecurityPolicy = ContentPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
    }
}
