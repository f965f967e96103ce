using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace OrleansCache.Silo.Hosting;

/// <summary>One line of a log in the JSON format: time, level, category, message, the figures of the message under their own names, exception.</summary>
internal static class JsonLine
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Of(string level, string? category, string message, IReadOnlyList<KeyValuePair<string, object?>>? figures, string? exception)
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(bytes, s_options))
        {
            writer.WriteStartObject();
            writer.WriteString("time", DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
            writer.WriteString("level", level);
            if (category is not null)
                writer.WriteString("category", category);
            writer.WriteString("message", message);
            foreach ((string name, object? value) in figures ?? [])
                WriteFigure(writer, name, value);
            if (exception is not null)
                writer.WriteString("exception", exception);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    private static void WriteFigure(Utf8JsonWriter writer, string name, object? value)
    {
        // The template itself, and what only shapes the sentence ("silo{S}").
        if (name.Length <= 1 || name[0] == '{')
            return;
        string camel = char.ToLowerInvariant(name[0]) + name[1..];
        switch (value)
        {
            case int number:
                writer.WriteNumber(camel, number);
                break;
            case long number:
                writer.WriteNumber(camel, number);
                break;
            case double number when double.IsFinite(number):
                writer.WriteNumber(camel, Math.Round(number, 6));
                break;
            case ByteSize size:
                writer.WriteNumber(camel, size.Bytes);
                break;
            case bool flag:
                writer.WriteBoolean(camel, flag);
                break;
            default:
                writer.WriteString(camel, Convert.ToString(value, CultureInfo.InvariantCulture));
                break;
        }
    }
}
