#:property PublishAot=false
// Run with: dotnet run examples/csharp/Hello.cs [port]
using System.Globalization;
using System.Net.Sockets;

int port = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 11211;
using var tcp = new TcpClient("127.0.0.1", port);
using var reader = new StreamReader(tcp.GetStream());
using var writer = new StreamWriter(tcp.GetStream()) { NewLine = "\r\n", AutoFlush = true };

writer.Write("set session:42 0 3600 5\r\nalice\r\n");
Console.WriteLine(reader.ReadLine());
writer.WriteLine("get session:42");
Console.WriteLine(reader.ReadLine());
Console.WriteLine(reader.ReadLine());
