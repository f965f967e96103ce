using System.Text.Encodings.Web;
using System.Text.Json;

namespace OrleansCache.Cli.Output;

/// <summary>JSON for --json: written by hand through the writer, so that nothing depends on reflection.</summary>
internal static class Json
{
    public static void Write(TextWriter output, Action<Utf8JsonWriter> content, bool isIndented = true)
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = isIndented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            content(writer);
        output.WriteLine(System.Text.Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length));
    }

    public static void NumberOrNull(this Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number && double.IsFinite(number))
            writer.WriteNumber(name, Math.Round(number, 6));
        else
            writer.WriteNull(name);
    }
}
