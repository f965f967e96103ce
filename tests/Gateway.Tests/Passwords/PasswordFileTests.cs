using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Passwords;

/// <summary>The formats of password files, and when a changed file counts.</summary>
public sealed class PasswordFileTests : IDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(Limits.PasswordFileCheckSeconds);

    private readonly string _path = Path.GetTempFileName();
    private readonly ManualTime _time = new();
    private readonly ErrorRecorder _errors = new();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("ann:secret\n", "ann", "secret", true)]
    [InlineData("ann:secret", "ann", "secret", true)]
    [InlineData("ann:secret\r\nbob:x\r\n", "bob", "x", true)]
    [InlineData("ann:secret\nbob:x\n", "ann", "x", false)]
    [InlineData("ann:se:cret\n", "ann", "se:cret", true)]
    [InlineData("ann:se:cret\n", "ann", "se", false)]
    [InlineData("ann:a\nann:b\n", "ann", "a", true)]
    [InlineData("ann:a\nann:b\n", "ann", "b", true)]
    [InlineData("ann:\n", "ann", "", true)]
    [InlineData(":x\n", "", "x", true)]
    [InlineData("ann:x\n", "ann:x", "", false)]
    [InlineData("ab:c\n", "a", "b:c", false)]
    [InlineData("", "", "", false)]
    public void AnAuthFileIsReadAsMemcachedReadsIt(string text, string user, string password, bool isRight) =>
        Assert.Equal(isRight, IsRight(text, PasswordFileFormat.AuthFile, user, password));

    [Theory]
    [InlineData("ann:secret\n", "ann", "secret", true)]
    [InlineData("ann:secret:rest\n", "ann", "secret", true)]
    [InlineData("ann:secret:rest\n", "ann", "secret:rest", true)]
    [InlineData("ann:secret:rest\n", "ann", "secret:re", false)]
    [InlineData("# a remark\n\nann:secret\n", "ann", "secret", true)]
    public void ASaslDatabaseIsReadAsMemcachedReadsIt(string text, string user, string password, bool isRight) =>
        Assert.Equal(isRight, IsRight(text, PasswordFileFormat.SaslDatabase, user, password));

    [Theory]
    [InlineData("ann\n", "line 1: has a malformed entry")]
    [InlineData("ann:x\n\n", "line 2: has a malformed entry")]
    [InlineData("ann:x\n# bob\n", "line 2: has a malformed entry")]
    [InlineData("a\0nn:x\n", "line 1: has a malformed entry")]
    public void ABrokenAuthFileIsRefused(string text, string reason)
    {
        Write(text);
        var failure = Assert.Throws<GatewayStartException>(() => Open(PasswordFileFormat.AuthFile));
        Assert.StartsWith($"Authfile [{_path}] {reason}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheFilesSizeIsBounded()
    {
        Write("ann:" + new string('x', Limits.PasswordLineBytesMax - 3) + "\n");
        Assert.Contains("longer than 254", Assert.Throws<GatewayStartException>(() => Open(PasswordFileFormat.AuthFile)).Message, StringComparison.Ordinal);
        Write(string.Concat(Enumerable.Range(0, Limits.PasswordsMax + 1).Select(i => $"{i}:x\n")));
        Assert.Contains("more than 1024", Assert.Throws<GatewayStartException>(() => Open(PasswordFileFormat.AuthFile)).Message, StringComparison.Ordinal);
        Write(new string('x', Limits.PasswordFileBytesMax + 1));
        Assert.Contains("has more than", Assert.Throws<GatewayStartException>(() => Open(PasswordFileFormat.AuthFile)).Message, StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<GatewayStartException>(
            () => PasswordFile.Open(_path + ".none", PasswordFileFormat.AuthFile, _time, NullLoggerFactory.Instance)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AChangedFileCountsWhenItHasSettled()
    {
        Write("ann:old\n");
        using PasswordFile file = Open(PasswordFileFormat.AuthFile);
        Write("ann:n");
        _time.Advance(s_look);
        Write("ann:new\n");
        _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "old"));
        _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "new"));
        Assert.False(IsRight(file, "ann", "old"));
    }

    [Fact]
    public void ABrokenNewFileKeepsTheOldPasswordsAndIsToldOnce()
    {
        Write("ann:old\n");
        using PasswordFile file = Open(PasswordFileFormat.AuthFile);
        Write("nonsense\n");
        for (int i = 0; i < 5; i++)
            _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "old"));
        Assert.Contains("malformed", Assert.Single(_errors.Messages), StringComparison.Ordinal);
        File.Delete(_path);
        for (int i = 0; i < 5; i++)
            _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "old"));
        Assert.Equal(2, _errors.Messages.Count);
        Write("ann:new\n");
        for (int i = 0; i < 2; i++)
            _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "new"));
    }

    [Fact]
    public void AFileThatHasBeenEmptiedIsRefused()
    {
        Write("ann:old\n");
        using PasswordFile file = Open(PasswordFileFormat.AuthFile);
        Write("");
        Assert.Contains("has no passwords", file.Reload(), StringComparison.Ordinal);
        Assert.True(IsRight(file, "ann", "old"));
        Write("ann:new\n");
        Assert.Null(file.Reload());
        Write("");
        for (int i = 0; i < 5; i++)
            _time.Advance(s_look);
        Assert.True(IsRight(file, "ann", "new"));
        Assert.Contains("has no passwords", Assert.Single(_errors.Messages), StringComparison.Ordinal);
    }

    [Fact]
    public void WhoAsksForItGetsTheNewFileAtOnce()
    {
        Write("ann:old\n");
        using PasswordFile file = Open(PasswordFileFormat.AuthFile);
        Write("nonsense\n");
        Assert.Contains("malformed", file.Reload(), StringComparison.Ordinal);
        Assert.True(IsRight(file, "ann", "old"));
        Write("ann:new\n");
        Assert.Null(file.Reload());
        Assert.True(IsRight(file, "ann", "new"));
    }

    private static bool IsRight(PasswordFile file, string user, string password) =>
        file.IsRight(Encoding.Latin1.GetBytes(user), Encoding.Latin1.GetBytes(password));

    private bool IsRight(string text, PasswordFileFormat format, string user, string password)
    {
        Write(text);
        using PasswordFile file = Open(format);
        return IsRight(file, user, password);
    }

    private void Write(string text) => File.WriteAllBytes(_path, Encoding.Latin1.GetBytes(text));

    private PasswordFile Open(PasswordFileFormat format) => PasswordFile.Open(_path, format, _time, _errors);
}
